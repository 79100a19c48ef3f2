//go:build linux

package server_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a proxy of a service that can reset all its connections.
type proxy struct {
	l    net.Listener
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[*net.TCPConn]struct{}
	down bool // connections are refused

	refused atomic.Int64 // how many were
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &proxy{l: l, to: to, open: make(map[*net.TCPConn]struct{})}
	c.wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.forward(a.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.resetAll()
		c.wg.Wait()
	})
	return c
}

func (c *proxy) address() string { return c.l.Addr().String() }

func (c *proxy) forward(a *net.TCPConn) {
	defer a.Close()
	conn, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	b := conn.(*net.TCPConn)
	defer b.Close()
	if !c.add(a, b) {
		return
	}
	var both sync.WaitGroup
	for from, to := range map[*net.TCPConn]*net.TCPConn{a: b, b: a} {
		both.Go(func() {
			_, _ = io.Copy(to, from)
			_ = to.CloseWrite()
		})
	}
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, a)
	delete(c.open, b)
}

func (c *proxy) add(conns ...*net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		c.refused.Add(1)
		return false
	}
	for _, x := range conns {
		c.open[x] = struct{}{}
	}
	return true
}

// resetAll resets all current connections.
func (c *proxy) resetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for x := range c.open {
		_ = x.SetLinger(0)
		_ = x.Close()
	}
	clear(c.open)
}

// refuse resets all connections and accepts none until it is called with false.
func (c *proxy) refuse(down bool) {
	c.mu.Lock()
	c.down = down
	c.mu.Unlock()
	if down {
		c.resetAll()
	}
}
