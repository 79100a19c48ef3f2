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
	MethodCancelRequest = "$/cancelRequest"
	MethodOn            = "rpc.on"
	MethodOff           = "rpc.off"
	MethodPong          = "pong"
)

// Method describes one method of the protocol: it drives the decoding of its params and its dispatch.
type Method struct {
	Name    string
	Summary string
	// Params is the struct that the params decode into; nil means that they are not looked at.
	Params reflect.Type
	// Result is the type of the result; nil for a method that answers null or is a notification.
	Result reflect.Type
}

// Methods is the method table, the one place where a method is declared.
var Methods = []Method{
	{MethodExecute, "Run a command as a session.", typeOf[ExecuteParams](), typeOf[ExecuteResult]()},
	{MethodControl, "Pause, resume, signal or cancel a session.", typeOf[ControlParams](), typeOf[ControlResult]()},
	{MethodCancel, "End a session's whole tree and wait until it is gone.", typeOf[CancelParams](), typeOf[CancelResult]()},
	{MethodWrite, "Feed a session's stdin.", typeOf[WriteParams](), typeOf[WriteResult]()},
	{MethodWait, "Wait for a session's completion record.", typeOf[WaitParams](), typeOf[Captured]()},
	{MethodRead, "Read a session's events, for clients that take no notifications.", typeOf[ReadParams](), typeOf[ReadResult]()},
	{MethodAttach, "Replay a session's events from a place in its log, and follow it.", typeOf[AttachParams](), typeOf[AttachResult]()},
	{MethodAck, "Open the window: output is consumed.", typeOf[AckParams](), nil},
	{MethodDetach, "Get no more of a session, which runs on.", typeOf[SessionParams](), typeOf[DetachResult]()},
	{MethodStatus, "Tell a session's state.", typeOf[SessionParams](), typeOf[SessionStatus]()},
	{MethodList, "List the caller's sessions, newest first.", typeOf[ListParams](), typeOf[ListResult]()},
	{MethodCancelRequest, "Cancel a request of this connection.", typeOf[CancelRequestParams](), nil},
	{MethodOn, "Accepted, without effect.", nil, nil},
	{MethodOff, "Accepted, without effect.", nil, nil},
	{MethodPong, "Accepted, without effect.", nil, nil},
}

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
