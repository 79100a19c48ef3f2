package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Resolver resolves names. A *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a proxy.
type Options struct {
	// Allow is what may be connected to. It is not changed by the proxy, and must not be changed by
	// others.
	Allow []sandbox.Destination
	// Event is called for the first use of each destination, and with the complete numbers of each
	// in Close, which waits for it. Calls are made one after the other, in a goroutine of their
	// own: one that takes long delays no connection. There are at most two for each destination of
	// a Report.
	Event func(Event)
	// Resolver resolves names, nil as the machine of the server does without calling libc: from the
	// hosts file and by DNS. It may be called for at most 64 names at once, with a context that
	// ends after 10 s, which it has to respect.
	Resolver Resolver
	// Budget has room for the connections from the command, which wait for it, and for attempts to
	// connect at the same time as another one. So a connection has at most two descriptors for each
	// that was taken, and those of the resolver. Nil has room for all.
	Budget Budget

	// dial connects to an address, nil by connect(2). Tests replace it.
	dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// Proxy is a proxy for one command. Its methods may be called at the same time.
type Proxy struct {
	outbound
	listener net.Listener
	record   *record

	ctx    context.Context // of look-ups and connects, ends with Close
	cancel context.CancelFunc
	slots  chan struct{} // has a value for each connection of a client
	rate   *rate.Limiter // of connections and requests
	wg     sync.WaitGroup
	closed func()

	mu    sync.Mutex
	ended bool
	open  map[net.Conn]struct{} // of clients and to servers; Close closes them
}

var errClosed = errors.New("egress: the proxy is closed")

// Start serves what connects to a listener until Close, which also closes the listener.
func Start(l net.Listener, o Options) *Proxy {
	p := &Proxy{
		outbound: outbound{allow: o.Allow, resolver: o.Resolver, dialAddr: o.dial, budget: o.Budget},
		listener: l,
		record:   newRecord(o.Event),
		slots:    make(chan struct{}, maxConnections),
		rate:     rate.NewLimiter(requestRate, requestBurst),
		open:     map[net.Conn]struct{}{},
	}
	p.outbound.complete()
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.closed = sync.OnceFunc(p.close)
	p.wg.Go(p.accept)
	return p
}

// Close ends all connections, and waits until their goroutines have ended and the last events are
// delivered. Further calls wait for the first one.
func (p *Proxy) Close() { p.closed() }

func (p *Proxy) close() {
	p.mu.Lock()
	p.ended = true
	p.listener.Close()
	p.cancel()
	for conn := range p.open {
		conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	p.record.finish()
}

// Report returns what was permitted and refused so far. After Close it is complete.
func (p *Proxy) Report() Report { return p.record.snapshot() }

// track lets Close close a connection. If the proxy is closed already, it closes the connection,
// and the result is false.
func (p *Proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		conn.Close()
		return false
	}
	p.open[conn] = struct{}{}
	return true
}

// drop closes a connection that was tracked.
func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	delete(p.open, conn)
	p.mu.Unlock()
	conn.Close()
}

// accept accepts connections until the listener is closed. An error such as EMFILE may pass.
func (p *Proxy) accept() {
	var pause time.Duration
	full := false
	for {
		conn, err := p.listener.Accept()
		switch {
		case err == nil:
			pause = 0
			full = !p.admit(conn, full)
		case errors.Is(err, net.ErrClosed) || p.ctx.Err() != nil:
			return
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-p.ctx.Done():
			}
		}
	}
}

// serve serves one connection.
func (p *Proxy) serve(conn net.Conn) {
	c := &client{Conn: conn, r: readers.Get().(*bufio.Reader)}
	c.r.Reset(conn)
	defer c.detach()
	conn.SetReadDeadline(time.Now().Add(headTime))
	first, err := c.r.Peek(1)
	if err != nil {
		return
	}
	if first[0] == socksVersion {
		p.rate.Wait(p.ctx)
		p.serveSOCKS(c)
		return
	}
	p.serveHTTP(c)
}

// client is a connection from the command.
type client struct {
	net.Conn
	r *bufio.Reader // nil after detach
}

// readers has readers of headBytes, which are lent to connections.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, headBytes) }}

// detach gives the reader back. It returns what was read ahead.
func (c *client) detach() []byte {
	if c.r == nil {
		return nil
	}
	ahead := make([]byte, c.r.Buffered())
	c.r.Read(ahead)
	c.r.Reset(nil)
	readers.Put(c.r)
	c.r = nil
	return ahead
}

// linger lets the peer read a last reply: a connection that is closed while there is something
// unread is reset, and the reply may be lost.
func linger(conn net.Conn) {
	closeWrite(conn)
	conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, conn, lingerBytes)
}

// closeWrite tells the peer that nothing more is sent.
func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}
