//go:build linux

package server_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// cutter is a proxy of a service that can reset all its connections.
type cutter struct {
	l    net.Listener
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[*net.TCPConn]struct{}
	down bool // connections are refused

	refused atomic.Int64 // how many were
}

func newCutter(t testing.TB, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{l: l, to: to, open: make(map[*net.TCPConn]struct{})}
	c.wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.carry(a.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) url() string { return "ws://" + c.l.Addr().String() + "/ws" }

func (c *cutter) carry(a *net.TCPConn) {
	defer a.Close()
	conn, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	b := conn.(*net.TCPConn)
	defer b.Close()
	if !c.enter(a, b) {
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

func (c *cutter) enter(conns ...*net.TCPConn) bool {
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

// cut resets all current connections.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for x := range c.open {
		_ = x.SetLinger(0)
		_ = x.Close()
	}
	clear(c.open)
}

// refuse resets all connections and accepts none until it is called with false.
func (c *cutter) refuse(down bool) {
	c.mu.Lock()
	c.down = down
	c.mu.Unlock()
	if down {
		c.cut()
	}
}
