package main

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is the network between a client and a server: it can drop all connections, or carry nothing more on them.
type proxy struct {
	net.Listener
	server string
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	held  chan struct{} // closed when nothing more is carried on the connections that there are
	over  chan struct{} // closed when the proxy is
	lost  []byte        // what has this in it is dropped, once, and its connection with it
}

// through starts a proxy and returns it with its URL for the server at url.
func through(t *testing.T, url string) (*proxy, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	p := &proxy{Listener: l, server: address, conns: make(map[net.Conn]bool), held: make(chan struct{}), over: make(chan struct{})}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		close(p.over)
		p.vanish()
		p.wg.Wait()
	})
	return p, "ws://" + l.Addr().String() + "/ws"
}

func (p *proxy) serve() {
	for {
		near, err := p.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, true
		held := p.held
		p.mu.Unlock()
		p.wg.Go(func() { p.carry(near, far, held) })
		p.wg.Go(func() { p.carry(far, near, held) })
	}
}

// stall carries nothing more on the connections that there are, not even their end.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.held = make(chan struct{})
}

// carry copies until one end is closed, and then closes both. What comes once it is held is lost.
func (p *proxy) carry(from, to net.Conn, held <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || p.loses(buf[:n]) {
			break
		}
		select {
		case <-held:
			continue
		default:
		}
		if _, err = to.Write(buf[:n]); err != nil {
			break
		}
	}
	select {
	case <-held:
		<-p.over
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range []net.Conn{from, to} {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// lose loses the next message with text in it, and its connection.
func (p *proxy) lose(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = []byte(text)
}

func (p *proxy) loses(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == nil || !bytes.Contains(b, p.lost) {
		return false
	}
	p.lost = nil
	return true
}

// cut resets all connections and returns how many ends they had.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	return len(p.conns)
}

// vanish cuts, and lets nobody in any more.
func (p *proxy) vanish() {
	_ = p.Close()
	p.cut()
}

// cutting cuts again and again until stop.
func (p *proxy) cutting() (stop func()) {
	over, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.cut()
			case <-over:
				return
			}
		}
	}()
	return func() { close(over); <-stopped }
}
