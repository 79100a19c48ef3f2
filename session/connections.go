package session

import (
	"net"
	"sync"

	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// maxDenied is how many refused destinations a session tells. Others are counted.
const maxDenied = 32

// Denied is what the proxy of a sandbox has refused.
type Denied struct {
	Destinations []egress.Event // at most maxDenied, in the order of their first use
	More         int64          // how many attempts at others were refused
}

// connections is the proxy of a session whose sandbox permits some destinations. Nil is that of a session
// without a sandbox. Its methods may be called at the same time.
type connections struct {
	event  func(egress.Event)
	budget egress.Budget

	mu     sync.Mutex
	proxy  *egress.Proxy // nil until the command is about to run, and after close
	closed bool
	final  *Denied // after close
}

// newConnections returns nil if the session has no sandbox. A session in the queue may get another one
// than it was made with.
func newConnections(s *Session) *connections {
	if s.spec.Program.Sandbox == nil {
		return nil
	}
	return &connections{event: s.reportDestination, budget: s.reg.proxied.of(s.spec.Owner)}
}

// reportDestination logs what the command connects to, and calls OnDestination.
func (s *Session) reportDestination(e egress.Event) {
	line := s.logged(s.reg.o.Log.Debug()).Str("host", e.Host).Uint16("port", e.Port).Bool("final", e.Final)
	if e.Allowed() {
		line.Int64("count", e.Count).Msg("destination")
	} else {
		line.Str("reason", string(e.Reason)).Int64("count", e.Count).Msg("destination refused")
	}
	if f := s.reg.o.OnDestination; f != nil {
		f(s, e)
	}
}

// serving returns process.Spec.Connections for some destinations.
func (c *connections) serving(allow []sandbox.Destination) func(net.Listener) (env []string) {
	return func(l net.Listener) []string { return c.serve(l, allow) }
}

// serve serves a listener. A start that is tried again calls it once more.
func (c *connections) serve(l net.Listener, allow []sandbox.Destination) (env []string) {
	c.mu.Lock()
	earlier := c.proxy
	if c.closed {
		earlier = nil
		l.Close()
	} else {
		c.proxy = egress.Start(l, egress.Options{Allow: allow, Event: c.event, Budget: c.budget})
	}
	c.mu.Unlock()
	if earlier != nil {
		earlier.Close()
	}
	return egress.Environment(l.Addr())
}

// close ends all connections, and returns when the last event was reported. It is called once, by the
// goroutine that ends the session.
func (c *connections) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.closed = true
	p := c.proxy
	c.mu.Unlock()
	if p == nil {
		return
	}
	p.Close()
	d := deniedIn(p.Report())
	c.mu.Lock()
	c.proxy, c.final = nil, d
	c.mu.Unlock()
}

// denied returns what was refused so far, or nil if nothing was.
func (c *connections) denied() *Denied {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	p, final := c.proxy, c.final
	c.mu.Unlock()
	if p == nil {
		return final
	}
	return deniedIn(p.Report())
}

func deniedIn(r egress.Report) *Denied {
	d := &Denied{Destinations: r.Refused, More: r.MoreRefused}
	if len(d.Destinations) > maxDenied {
		for _, e := range d.Destinations[maxDenied:] {
			d.More += e.Count
		}
		d.Destinations = append([]egress.Event(nil), d.Destinations[:maxDenied]...)
	}
	if len(d.Destinations) == 0 && d.More == 0 {
		return nil
	}
	return d
}
