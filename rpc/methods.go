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

// Method describes one method of the protocol: it drives the decoding of its params, its dispatch, and the
// document that rpc.discover answers.
type Method struct {
	Name    string
	Summary string
	// Description says what else a caller has to know.
	Description string
	// Params is the struct that the params decode into; nil means that they are not looked at.
	Params reflect.Type
	// Results are the types of the result, which is one of them; none for a method that answers null.
	Results []reflect.Type
	// Notification is set for a method that is meant to be sent as one.
	Notification bool
	// Errors are the codes of the errors that it may answer beside those that any request may get.
	Errors   []int
	Examples []Example
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
		Examples: executeExamples,
	},
	{
		Name:        MethodControl,
		Summary:     "Pause, resume, signal, resize or cancel a session.",
		Description: "It acts on the whole process tree. Pausing a paused session is no error.",
		Params:      typeOf[ControlParams](),
		Results:     []reflect.Type{typeOf[ControlResult]()},
		Errors:      []int{CodeSessionNotFound, CodeNotRunning, CodeRequestCanceled},
		Examples:    controlExamples,
	},
	{
		Name:        MethodCancel,
		Summary:     "End a session's whole tree and wait until it is gone.",
		Description: "The stop signal, then after `grace` SIGKILL. Answered once the whole tree is gone or given up on; at once if the session had ended.",
		Params:      typeOf[CancelParams](),
		Results:     []reflect.Type{typeOf[CancelResult]()},
		Errors:      []int{CodeSessionNotFound, CodeRequestCanceled},
		Examples:    cancelExamples,
	},
	{
		Name:        MethodWrite,
		Summary:     "Feed a session's stdin.",
		Description: "Answered once the data is in the session's bounded stdin queue. Writes are accepted in the order in which they were sent.",
		Params:      typeOf[WriteParams](),
		Results:     []reflect.Type{typeOf[WriteResult]()},
		Errors:      []int{CodeSessionNotFound, CodeNotRunning, CodeStdinClosed, CodeRequestCanceled},
		Examples:    writeExamples,
	},
	{
		Name:        MethodWait,
		Summary:     "Wait for a session's completion record.",
		Description: "Whatever becomes of the wait, the session goes on.",
		Params:      typeOf[WaitParams](),
		Results:     []reflect.Type{typeOf[Captured]()},
		Errors:      []int{CodeSessionNotFound, CodeDeadline, CodeSpawnFailed, CodeShuttingDown, CodeRequestCanceled},
		Examples:    waitExamples,
	},
	{
		Name:    MethodRead,
		Summary: "Read a session's events from its log.",
		Description: "For clients that take no notifications. It paces a session to which its connection is attached with `stream:false`. " +
			"Empty at `timeout`.",
		Params:   typeOf[ReadParams](),
		Results:  []reflect.Type{typeOf[ReadResult]()},
		Errors:   []int{CodeSessionNotFound, CodeSpawnFailed, CodeShuttingDown, CodeRequestCanceled},
		Examples: readExamples,
	},
	{
		Name:        MethodAttach,
		Summary:     "Get the events of a session on this connection.",
		Description: "The events behind `after_seq` are replayed, and then followed; sent alone, the reply comes before them. Attaching again moves the place.",
		Params:      typeOf[AttachParams](),
		Results:     []reflect.Type{typeOf[AttachResult]()},
		Errors:      []int{CodeSessionNotFound},
		Examples:    attachExamples,
	},
	{
		Name:        MethodAck,
		Summary:     "Open the window of an attached session.",
		Description: "Usually sent as a notification. Without effect where the connection is not attached, or has no window.",
		Params:      typeOf[AckParams](),
		Errors:      []int{CodeSessionNotFound},
		Examples:    ackExamples,
	},
	{
		Name:        MethodDetach,
		Summary:     "Get no more events of a session.",
		Description: "It never ends the session, whatever its `on_disconnect`: its `linger` starts.",
		Params:      typeOf[SessionParams](),
		Results:     []reflect.Type{typeOf[DetachResult]()},
		Errors:      []int{CodeSessionNotFound},
		Examples:    detachExamples,
	},
	{
		Name:     MethodStatus,
		Summary:  "Tell a session's state.",
		Params:   typeOf[SessionParams](),
		Results:  []reflect.Type{typeOf[StatusResult]()},
		Errors:   []int{CodeSessionNotFound},
		Examples: statusExamples,
	},
	{
		Name:     MethodList,
		Summary:  "List the caller's sessions, newest first.",
		Params:   typeOf[ListParams](),
		Results:  []reflect.Type{typeOf[ListResult]()},
		Examples: listExamples,
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
		Examples:     cancelRequestExamples,
	},
	{Name: MethodOn, Summary: "Accepted, without effect.", Description: anyParams},
	{Name: MethodOff, Summary: "Accepted, without effect.", Description: anyParams},
	{Name: MethodPong, Summary: "Accepted, without effect.", Description: anyParams},
}

const anyParams = "Common clients send it on their own. It takes any params."

// NoParams are the params of a method that takes none.
type NoParams struct{}

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
