//go:build linux

package session

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/session/quota"
)

// takeAll takes all room that there is.
func takeAll(b *ownProxied) (n int) {
	for b.TryTake() {
		n++
	}
	return n
}

// TestProxied: a principal cannot take the room that is kept for another one. Those that wait get room in
// their order as far as their shares permit.
func TestProxied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProxied(8)
		alice, bob := p.of("alice"), p.of("bob")
		if n := takeAll(alice); n != 8 {
			t.Fatalf("one alone takes %d of 8", n)
		}
		config := quota.Config{Owners: map[string]quota.Quotas{"alice": {}, "bob": {}}}
		p.divide(config.Proxied())
		alice.Release()
		alice.Release()
		if alice.TryTake() {
			t.Error("alice took what is kept for bob")
		}
		if n := takeAll(bob); n != 2 {
			t.Errorf("bob takes %d of 2", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := make(chan string, 3)
		wait := func(ctx context.Context, b *ownProxied) {
			go func() { result <- fmt.Sprint(b.owner, b.Take(ctx)) }()
			synctest.Wait()
		}
		wait(ctx, alice)
		wait(t.Context(), bob)
		wait(t.Context(), bob)
		alice.Release()
		if got := <-result; got != "alicetrue" {
			t.Error(got)
		}
		wait(ctx, alice)
		bob.Release()
		if got := <-result; got != "bobtrue" {
			t.Error(got)
		}
		if got := <-result; got != "alicefalse" {
			t.Error(got)
		}
		bob.Release()
		if got := <-result; got != "bobtrue" {
			t.Error(got)
		}
		if p.waiting.Len() != 0 {
			t.Errorf("%d wait", p.waiting.Len())
		}
	})
}

// TestConnectionsOfAllSessions: the connections of all commands to their proxies are bounded together.
func TestConnectionsOfAllSessions(t *testing.T) {
	r := registry(t, Options{MaxProxied: 3})
	greet := func(l net.Listener) net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = conn.Write([]byte("\x05\x01\x00"))
		return conn
	}
	expectAnswer := func(conn net.Conn) {
		t.Helper()
		answer := make([]byte, 2)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(conn, answer); string(answer) != "\x05\x00" {
			t.Errorf("%q, %v", answer, err)
		}
	}
	var conns []net.Conn
	for range 2 {
		spec := sh("", "true")
		spec.Program.Sandbox = &sandbox.Config{}
		c := newConnections(newSession(r, spec, nil, 1))
		l := listen(t)
		c.serve(l, nil)
		t.Cleanup(c.close)
		for range 2 {
			conn := greet(l)
			if conns = append(conns, conn); len(conns) <= 3 {
				expectAnswer(conn) // before the next one, since they may be accepted in another order
			}
		}
	}
	if !poll(patience, func() bool {
		r.proxied.mu.Lock()
		defer r.proxied.mu.Unlock()
		return r.proxied.waiting.Len() == 1
	}) {
		t.Fatal("the fourth connection does not wait")
	}
	_ = conns[0].Close()
	expectAnswer(conns[3])
}
