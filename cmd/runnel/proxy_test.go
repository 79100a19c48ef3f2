package main

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy forwards the connections between a client and a server, and simulates network failures: it
// can reset connections, and stop forwarding without closing them.
type proxy struct {
	net.Listener
	server string
	wg     sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	stalled chan struct{} // closed when the existing connections stall
	done    chan struct{} // closed at the end of the test
	discard []byte        // a message that contains this is discarded, once, and its connection is closed
	cuts    int           // how often connections were reset
}

// newProxy starts a proxy for the server at url, and returns it with its own URL.
func newProxy(t *testing.T, url string) (*proxy, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	p := &proxy{
		Listener: l,
		server:   address,
		conns:    make(map[net.Conn]bool),
		stalled:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		close(p.done)
		p.shutDown()
		p.wg.Wait()
	})
	return p, "ws://" + l.Addr().String() + "/ws"
}

func (p *proxy) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		stalled := p.stalled
		p.mu.Unlock()
		p.wg.Go(func() { p.forward(client, server, stalled) })
		p.wg.Go(func() { p.forward(server, client, stalled) })
	}
}

// stall stops forwarding on the existing connections, without closing them. It waits until there is one: on
// a machine under load the server may just have given up the last one, for which the client reports another
// reason.
func (p *proxy) stall(t *testing.T) {
	t.Helper()
	if !poll(func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.conns) == 0 {
			return false
		}
		close(p.stalled)
		p.stalled = make(chan struct{})
		return true
	}) {
		t.Fatal("the proxy has no connection")
	}
}

// forward copies until one end is closed, and then closes both. Once stalled is closed, it discards
// what it reads.
func (p *proxy) forward(from, to net.Conn, stalled <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || p.discards(buf[:n]) {
			break
		}
		select {
		case <-stalled:
			continue
		default:
		}
		if _, err = to.Write(buf[:n]); err != nil {
			break
		}
	}
	if p.remove(from, to, stalled) {
		<-p.done
	}
	_, _ = from.Close(), to.Close()
}

// remove removes a connection from those that exist, unless it has stalled, which it reports.
func (p *proxy) remove(from, to net.Conn, stalled <-chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-stalled:
		return true
	default:
		delete(p.conns, from)
		delete(p.conns, to)
		return false
	}
}

// discardNext discards the next message that contains text, and closes its connection.
func (p *proxy) discardNext(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.discard = []byte(text)
}

// discarded reports whether the message of discardNext was discarded.
func (p *proxy) discarded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.discard == nil
}

func (p *proxy) discards(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.discard == nil || !bytes.Contains(b, p.discard) {
		return false
	}
	p.discard = nil
	return true
}

// cut resets all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) > 0 {
		p.cuts++
	}
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// cutCount returns how often connections were reset.
func (p *proxy) cutCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// shutDown resets all connections and accepts none any more.
func (p *proxy) shutDown() {
	_ = p.Close()
	p.cut()
}

// cutRepeatedly resets all connections every 100 ms until stop is called.
func (p *proxy) cutRepeatedly() (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.cut()
			case <-stopped:
				return
			}
		}
	}()
	return func() { close(stopped); <-done }
}
