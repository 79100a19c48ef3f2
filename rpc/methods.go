package rpc

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
