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
	MethodRecording     = "recording"
	MethodAttach        = "attach"
	MethodAck           = "ack"
	MethodDetach        = "detach"
	MethodForget        = "forget"
	MethodStatus        = "status"
	MethodList          = "list"
	MethodAuthenticate  = "authenticate"
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
