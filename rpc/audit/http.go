package audit

// HTTP is an HTTP request that the server has made for a caller, or one that was refused or has failed. A
// request that was redirected is one more.
type HTTP struct {
	Caller
	Method string
	Host   string // a name or an address, without the port
	Port   int
	Status int // of the response; 0 if there was none
	Error  Error
	Count  int // see [Control]
}

func (*HTTP) event() string { return "http" }
func (*HTTP) vital() bool   { return false }
func (e *HTTP) encode(l *line) {
	e.Caller.encode(l)
	l.name("method", e.Method)
	l.name("host", e.Host)
	if e.Port != 0 {
		l.number("port", int64(e.Port))
	}
	if e.Status != 0 {
		l.number("status", int64(e.Status))
	}
	e.Error.encode(l)
	l.counted(e.Count)
}
