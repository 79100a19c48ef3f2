package rpc

import "reflect"

// The methods.
const (
	MethodExecute       = "execute"
	MethodControl       = "control"
	MethodCancel        = "cancel"
	MethodWrite         = "write"
	MethodWait          = "wait"
	MethodRead          = "read"
	MethodAttach        = "attach"
	MethodAck           = "ack"
	MethodDetach        = "detach"
	MethodStatus        = "status"
	MethodList          = "list"
	MethodDiscover      = "rpc.discover"
	MethodCancelRequest = "$/cancelRequest"
	MethodOn            = "rpc.on"
	MethodOff           = "rpc.off"
	MethodPong          = "pong"
)

// Method describes a method of the protocol.
type Method struct {
	Name    string
	Summary string
	// Description is what else a caller has to know.
	Description string
	// Params is the struct that the params are decoded into; nil if they are ignored.
	Params reflect.Type
	// Results are the types that the result may have; none if the result is null.
	Results []reflect.Type
	// Notification is set if clients send the method as a notification only.
	Notification bool
	// Errors are the codes of the errors of this method, without those that any request may get.
	Errors []int
}

// Methods is the method table, the one place where a method is declared.
var Methods = []Method{
	{
		Name:    MethodExecute,
		Summary: "Run a command as a session.",
		Description: "Answered when the process runs, or with `wait` when the session has ended, or `wait_timeout` has passed. The connection is attached: it gets the session's events. " +
			"Sent as a notification it runs, and is answered by its events alone.",
		Params:  typeOf[ExecuteParams](),
		Results: []reflect.Type{typeOf[ExecuteResult](), typeOf[Captured](), typeOf[StillRunning]()},
		Errors: []int{CodeCommandNotAllowed, CodeSessionNotFound, CodeSessionLimit, CodeSessionExists, CodeSpawnFailed, CodeShuttingDown,
			CodeRequestCanceled},
	},
	{
		Name:        MethodControl,
		Summary:     "Pause, resume, signal, resize or cancel a session.",
		Description: "It acts on the whole process tree. Pausing a paused session is no error.",
		Params:      typeOf[ControlParams](),
		Results:     []reflect.Type{typeOf[ControlResult]()},
		Errors:      []int{CodeSessionNotFound, CodeNotRunning, CodeRequestCanceled},
	},
	{
		Name:        MethodCancel,
		Summary:     "End a session's whole tree and wait until it is gone.",
		Description: "The stop signal, then after `grace` SIGKILL. Answered once the whole tree is gone or given up on; at once if the session had ended.",
		Params:      typeOf[CancelParams](),
		Results:     []reflect.Type{typeOf[CancelResult]()},
		Errors:      []int{CodeSessionNotFound, CodeRequestCanceled},
	},
	{
		Name:        MethodWrite,
		Summary:     "Feed a session's stdin.",
		Description: "Answered once the data is in the session's bounded stdin queue. Writes are accepted in the order in which they were sent.",
		Params:      typeOf[WriteParams](),
		Results:     []reflect.Type{typeOf[WriteResult]()},
		Errors:      []int{CodeSessionNotFound, CodeNotRunning, CodeStdinClosed, CodeRequestCanceled},
	},
	{
		Name:        MethodWait,
		Summary:     "Wait for a session's completion record.",
		Description: "Whatever becomes of the wait, the session goes on.",
		Params:      typeOf[WaitParams](),
		Results:     []reflect.Type{typeOf[Captured]()},
		Errors:      []int{CodeSessionNotFound, CodeDeadline, CodeSpawnFailed, CodeShuttingDown, CodeRequestCanceled},
	},
	{
		Name:    MethodRead,
		Summary: "Read a session's events from its log.",
		Description: "For clients that take no notifications. It paces a session to which its connection is attached with `stream:false`. " +
			"Empty at `timeout`.",
		Params:  typeOf[ReadParams](),
		Results: []reflect.Type{typeOf[ReadResult]()},
		Errors:  []int{CodeSessionNotFound, CodeSpawnFailed, CodeShuttingDown, CodeRequestCanceled},
	},
	{
		Name:        MethodAttach,
		Summary:     "Get the events of a session on this connection.",
		Description: "The events behind `after_seq` are replayed, and then followed; sent alone, the reply comes before them. Attaching again moves the place.",
		Params:      typeOf[AttachParams](),
		Results:     []reflect.Type{typeOf[AttachResult]()},
		Errors:      []int{CodeSessionNotFound},
	},
	{
		Name:        MethodAck,
		Summary:     "Open the window of an attached session.",
		Description: "Usually sent as a notification. Without effect where the connection is not attached, or has no window.",
		Params:      typeOf[AckParams](),
		Errors:      []int{CodeSessionNotFound},
	},
	{
		Name:        MethodDetach,
		Summary:     "Get no more events of a session.",
		Description: "It never ends the session, whatever its `on_disconnect`: its `linger` starts.",
		Params:      typeOf[SessionParams](),
		Results:     []reflect.Type{typeOf[DetachResult]()},
		Errors:      []int{CodeSessionNotFound},
	},
	{
		Name:    MethodStatus,
		Summary: "Tell a session's state.",
		Params:  typeOf[SessionParams](),
		Results: []reflect.Type{typeOf[StatusResult]()},
		Errors:  []int{CodeSessionNotFound},
	},
	{
		Name:    MethodList,
		Summary: "List the caller's sessions, newest first.",
		Params:  typeOf[ListParams](),
		Results: []reflect.Type{typeOf[ListResult]()},
	},
	{
		Name:    MethodDiscover,
		Summary: "Describe the protocol: this document.",
		Params:  typeOf[NoParams](),
		Results: []reflect.Type{typeOf[OpenRPC]()},
	},
	{
		Name:    MethodCancelRequest,
		Summary: "Cancel a request of this connection.",
		Description: "A waiting `execute` is canceled and answers its completion record; other waits end with -32800, and what they waited for goes on. " +
			"An unknown id is ignored.",
		Params:       typeOf[CancelRequestParams](),
		Notification: true,
	},
	{Name: MethodOn, Summary: "Accepted, without effect.", Description: anyParams},
	{Name: MethodOff, Summary: "Accepted, without effect.", Description: anyParams},
	{Name: MethodPong, Summary: "Accepted, without effect.", Description: anyParams},
}

const anyParams = "Common clients send it on their own. It takes any params."

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

var byName = func() map[string]*Method {
	m := make(map[string]*Method, len(Methods))
	for i := range Methods {
		m[Methods[i].Name] = &Methods[i]
	}
	return m
}()

// LookupMethod returns the method of that name, or nil.
func LookupMethod(name string) *Method { return byName[name] }
