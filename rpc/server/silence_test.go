//go:build linux

package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
)

// TestSilentPeerIsDisconnected: after three ping intervals, or at most a quarter of that later. A peer
// that answers pings, or sends some, is not.
func TestSilentPeerIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval, silence = 20 * time.Second, 60 * time.Second
		registry := session.NewRegistry(session.Options{})
		s := server.New(registry, server.Options{PingInterval: interval, WriteTimeout: time.Hour})
		l := &pipeListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		silent, answers, sends := l.dial(t), l.dial(t), l.dial(t)
		go func() {
			for {
				if _, _, err := answers.ws.Read(context.Background()); err != nil { // answers pings
					return
				}
			}
		}()
		for _, p := range []*pipePeer{silent, sends} {
			go func() { _, _ = io.Copy(io.Discard, p.near) }()
		}
		sendPings := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(interval) {
				_, _ = sends.near.Write(ping)
			}
		}
		sendPings(10 * interval)
		if took := silent.far.open(); took < silence || took > silence*5/4 {
			t.Errorf("the silent peer is disconnected after %v", took)
		}
		for name, p := range map[string]*pipePeer{"answers": answers, "sends": sends} {
			if took := p.far.open(); took > 0 {
				t.Errorf("the peer that %s pings is disconnected after %v", name, took)
			}
		}
		time.Sleep(2 * silence) // the one that sent pings is silent now
		if sends.far.open() == 0 || answers.far.open() > 0 {
			t.Errorf("disconnected after %v, the one that answers pings after %v", sends.far.open(), answers.far.open())
		}
		registry.Shutdown(t.Context())
		s.Shutdown()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// pipeListener is a listener of connections without a kernel, which are in the time of a bubble.
type pipeListener struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// pipePeer is a client over a pipe.
type pipePeer struct {
	ws   *websocket.Conn
	near net.Conn // below ws
	far  *timedConn
}

// dial connects and reads connected.
func (l *pipeListener) dial(t *testing.T) *pipePeer {
	near, far := net.Pipe()
	p := &pipePeer{near: near, far: &timedConn{Conn: far, opened: time.Now()}}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		l.accepted <- p.far
		return near, nil
	}}
	ws, _, err := websocket.Dial(t.Context(), "ws://127.0.0.1:1/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	p.ws = ws
	t.Cleanup(func() { _ = ws.CloseNow() })
	if _, _, err := ws.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// timedConn is the server's end of a pipe, with the times when it is opened and closed.
type timedConn struct {
	net.Conn
	opened time.Time

	mu     sync.Mutex
	closed time.Time
}

func (c *timedConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.IsZero() {
		c.closed = time.Now()
	}
	return c.Conn.Close()
}

// open returns how long the connection was open, or 0 if it still is.
func (c *timedConn) open() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.IsZero() {
		return 0
	}
	return c.closed.Sub(c.opened)
}

// RemoteAddr returns an address of TCP, as servers expect it.
func (c *timedConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
