package server

import (
	"reflect"

	"github.com/runnel-rpc/runnel/rpc"
)

// method is one method of the protocol: its description and its handler.
type method struct {
	rpc.Method
	capability bool // the name is one of the capabilities
	// handle decodes the params and calls the handler. The goroutine that reads the connection
	// calls the handlers one after the other, in the order of the requests, so a handler delays the
	// requests that follow. It may wait for what is bounded: the start of a process (see
	// awaitStart), the inspection of a session for status (100 ms), and the signals of control and
	// cancel, with the scans of the process table that they need (100 ms for a pause). Anything
	// else it leaves to the function that it returns (see later).
	handle func(*request) answer
}

// details are what the description of a method has besides its name, summary and params.
type details struct {
	description  string
	results      []reflect.Type // the types that the result may have; none if it is null
	errors       []int          // the codes of errors, without those that any request may get
	notification bool           // clients send it as a notification only
	capability   bool           // clients find its name among the capabilities
}

// define declares a method. P is the type of its params, from which the document derives their
// schema.
func define[P any](name, summary string, handle func(*request, *P) answer, d details) *method {
	return &method{
		Method: rpc.Method{
			Name:         name,
			Summary:      summary,
			Description:  d.description,
			Params:       reflect.TypeFor[P](),
			Results:      d.results,
			Errors:       d.errors,
			Notification: d.notification,
		},
		capability: d.capability,
		handle: func(r *request) answer {
			p := new(P)
			if err := r.decode(p); err != nil {
				r.auditRefused(p, err)
				return result(nil, err)
			}
			if err := r.authorize(p); err != nil {
				r.auditRefused(p, err)
				return result(nil, err)
			}
			return handle(r, p)
		},
	}
}

// first makes fast handle the requests that it can: for any other it returns false, and the params
// are decoded as usual.
func (m *method) first(fast func(*request) (a answer, ok bool)) *method {
	usual := m.handle
	m.handle = func(r *request) answer {
		if a, ok := fast(r); ok {
			return a
		}
		return usual(r)
	}
	return m
}

// ignore declares a method that takes any params and does nothing.
func ignore(name string) *method {
	return &method{
		Method: rpc.Method{
			Name:        name,
			Summary:     "Accepted without effect.",
			Description: "Some clients send it automatically. It accepts any params.",
		},
		handle: func(*request) answer { return result(nil, nil) },
	}
}

func types(samples ...any) []reflect.Type {
	all := make([]reflect.Type, len(samples))
	for i, v := range samples {
		all[i] = reflect.TypeOf(v)
	}
	return all
}

// methods is the method table: a method is declared here and nowhere else.
var methods = []*method{
	define(rpc.MethodExecute, "Run a command as a session.", execute, details{
		description: "Answered when the process runs, or with `wait` when the session has ended, or " +
			"`wait_timeout` has passed. The connection is attached: it gets the session's events. " +
			"Sent as a notification, it has no reply but its events.",
		results: types(rpc.ExecuteResult{}, rpc.QueuedResult{}, rpc.Captured{}, rpc.StillRunning{}),
		errors: []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeSessionLimit, rpc.CodeSessionExists, rpc.CodeSpawnFailed,
			rpc.CodeShuttingDown, rpc.CodeRequestCanceled},
		capability: true,
	}),
	define(rpc.MethodControl, "Pause, resume, signal, resize or cancel a session.", control, details{
		description: "It acts on the whole process tree. Pausing a paused session is not an error.",
		results:     types(rpc.ControlResult{}),
		errors:      []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown, rpc.CodeNotRunning, rpc.CodeRequestCanceled},
		capability:  true,
	}),
	define(rpc.MethodCancel, "End a session's whole tree and wait until it is gone.", cancel, details{
		description: "Sends the stop signal, and SIGKILL after `grace`. Answered when the session has ended; " +
			"at once if it had ended before.",
		results:    types(rpc.CancelResult{}),
		errors:     []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown, rpc.CodeRequestCanceled},
		capability: true,
	}),
	define(rpc.MethodWrite, "Write to a session's stdin.", write, details{
		description: "Answered when the data is in the session's bounded stdin queue. " +
			"Writes are accepted in the order in which they are sent.",
		results: types(rpc.WriteResult{}),
		errors: []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown, rpc.CodeNotRunning, rpc.CodeStdinClosed,
			rpc.CodeRequestCanceled},
		capability: true,
	}).first(writeInPlace),
	define(rpc.MethodWait, "Wait for a session's completion record.", wait, details{
		description: "A canceled wait, or one that times out, does not affect the session. For a session that " +
			"was queued and not started, the error is that of its `process.failed`.",
		results: types(rpc.Captured{}),
		errors: []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeSessionLimit, rpc.CodeDeadline, rpc.CodeSpawnFailed, rpc.CodeShuttingDown,
			rpc.CodeRequestCanceled},
		capability: true,
	}),
	define(rpc.MethodRead, "Read a session's events from its log.", read, details{
		description: "For clients that do not handle notifications. If the connection is attached with " +
			"`stream:false`, the session is paced by its reads. The result is empty after `timeout`.",
		results: types(rpc.ReadResult{}),
		errors: []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeSpawnFailed, rpc.CodeShuttingDown,
			rpc.CodeRequestCanceled},
		capability: true,
	}),
	define(rpc.MethodRecording, "Get the times of a terminal's output, its sizes and recorded input.", recording, details{
		description: "The output itself is that of `read`. Input is included only if the session was started with " +
			"`record_input`, and the caller may write to it. If the times are not known, the error is -32005 `not_recorded`.",
		results:    types(rpc.RecordingResult{}),
		errors:     []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown, rpc.CodeNotRunning, rpc.CodeRequestCanceled},
		capability: true,
	}),
	define(rpc.MethodAttach, "Get the events of a session on this connection.", attach, details{
		description: "Sends the events after `after_seq`, and then those that follow. " +
			"Outside of a batch, the reply is ahead of them. Attaching again moves the position.",
		results:    types(rpc.AttachResult{}),
		errors:     []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown},
		capability: true,
	}),
	define(rpc.MethodAck, "Open the window of an attached session.", ack, details{
		description: "Usually sent as a notification. It has no effect if the connection is not attached or has no window.",
		errors:      []int{rpc.CodeSessionNotFound, rpc.CodeShuttingDown},
	}),
	define(rpc.MethodDetach, "End the events of a session on this connection.", detach, details{
		description: "It never ends the session, regardless of `on_disconnect`; its `linger` starts.",
		results:     types(rpc.DetachResult{}),
		errors:      []int{rpc.CodeSessionNotFound, rpc.CodeShuttingDown},
	}),
	define(rpc.MethodForget, "Delete the record and the output of an ended session.", forget, details{
		description: "Its id may be used again. Connections that are attached to it still get the rest of its events.",
		results:     types(rpc.ForgetResult{}),
		errors:      []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown, rpc.CodeNotRunning},
		capability:  true,
	}),
	define(rpc.MethodStatus, "Get a session's state.", status, details{
		results:    types(rpc.StatusResult{}),
		errors:     []int{rpc.CodeForbidden, rpc.CodeSessionNotFound, rpc.CodeShuttingDown},
		capability: true,
	}),
	define(rpc.MethodList, "List sessions, newest first.", list, details{
		results:    types(rpc.ListResult{}),
		errors:     []int{rpc.CodeForbidden},
		capability: true,
	}),
	define(rpc.MethodAuthenticate, "Renew the credential of this connection.", renew, details{
		description: "The token must be of the same principal. A connection whose credential has expired " +
			"continues for 60 seconds, and is then closed with the code 4401.",
		results:    types(rpc.AuthenticateResult{}),
		errors:     []int{rpc.CodeForbidden},
		capability: true,
	}),
	define(rpc.MethodDiscover, "Describe the protocol: this document.", discover, details{
		results:    types(rpc.OpenRPC{}),
		capability: true,
	}),
	define(rpc.MethodCancelRequest, "Cancel a request of this connection.", cancelRequest, details{
		description: "A waiting `execute` cancels its session and is answered with the completion record. " +
			"Other waits end with -32800 and have no effect on the session. An unknown id is ignored.",
		notification: true,
	}),
	ignore(rpc.MethodOn),
	ignore(rpc.MethodOff),
	ignore(rpc.MethodPong),
}

// methodByName has the methods by their names.
var methodByName = func() map[string]*method {
	all := make(map[string]*method, len(methods))
	for _, m := range methods {
		all[m.Name] = m
	}
	return all
}()

// Methods describes the methods of the protocol. The OpenRPC document is generated from it.
func Methods() []rpc.Method {
	all := make([]rpc.Method, len(methods))
	for i, m := range methods {
		all[i] = m.Method
	}
	return all
}

// capabilities are what this version of the server can do: the names of methods, and of features
// that clients look for before they use them.
var capabilities = func() (all []string) {
	for _, m := range methods {
		if m.capability {
			all = append(all, m.Name)
		}
	}
	return append(all,
		"batch", "lines", "raw", "slow_client", "window", "keep", "stdin", "pty",
		"base64", "list:pages", "merge_stderr", "capture_head", "wait_timeout", "waiting_for_input",
		"stop_signal", "signal:to", "exited", "survivors_verified", "traceparent", "queue", "name", "since",
		"screen", "writer")
}()

func cancelRequest(r *request, p *rpc.CancelRequestParams) answer {
	r.conn.cancelRequest(p.ID)
	return result(nil, nil)
}
