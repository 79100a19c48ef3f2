//go:build linux

package server_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	emulator "github.com/runnel-rpc/runnel/session/screen"
)

// viewer is the terminal of a Go client.
type viewer struct {
	t testing.TB

	mu      sync.Mutex
	shown   *emulator.Screen
	screens int
	last    int64
	changed chan struct{}
}

func newViewer(t testing.TB) *viewer {
	s, err := emulator.New(24, 80)
	if err != nil {
		t.Fatal(err)
	}
	return &viewer{t: t, shown: s, changed: make(chan struct{}, 1)}
}

func (v *viewer) events(window int64) client.Events {
	return client.Events{
		Window: window,
		Output: func(o *client.Output) { v.write(o.Seq, o.Data, 0) },
		Screen: func(x rpc.Screen) { v.write(x.Seq, []byte(x.Data), 1) },
	}
}

func (v *viewer) write(seq int64, b []byte, screens int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, _ = v.shown.Write(b)
	v.screens += screens
	v.last = seq
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// await waits until the terminal shows what output makes one show.
func (v *viewer) await(output string) {
	v.t.Helper()
	s, _ := emulator.New(24, 80)
	_, _ = s.Write([]byte(output))
	want, deadline := s.Paint(emulator.Full), time.After(time.Minute)
	for {
		v.mu.Lock()
		got := v.shown.Paint(emulator.Full)
		v.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-v.changed:
		case <-deadline:
			v.t.Fatalf("%q, not\n%q", got, want)
		}
	}
}

func (v *viewer) painted() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.screens
}

// dialClient returns a client that reconnects, and a function that resets its connection.
func (s *service) dialClient(t *testing.T, restored func()) (c *client.Client, drop func()) {
	t.Helper()
	proxied := newProxy(t, s.address)
	c, err := client.Dial(t.Context(), s.at(proxied.address()), client.Options{TLS: s.secure, Reconnect: &client.Reconnect{
		MinDelay: time.Millisecond,
		Restored: restored,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, proxied.resetAll
}

// TestClientScreen: the Go client has the screen before the output, with and without a queue, continues after a
// lost connection without another one, and repaints on demand.
func TestClientScreen(t *testing.T) {
	for name, window := range map[string]int64{"no window": 0, "window": 1 << 10} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			p := s.dial(t)
			c := p.terminal(object{"on_disconnect": "keep", "command": `stty -echo; seq 300; printf '\033[H\033[2J\033[1mfirst'; ` +
				`read x; printf '\033[3;3Hsecond'; read x; seq 200; printf '\033[Hthird'; read x; printf fourth; read x`})
			c.wants("first")
			restored := make(chan struct{}, 10)
			cl, drop := s.dialClient(t, func() { restored <- struct{}{} })
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			v := newViewer(t)
			sess, _, err := cl.Attach(ctx, rpc.AttachParams{SessionID: c.id, Screen: true}, v.events(window))
			if err != nil {
				t.Fatal(err)
			}
			v.await(c.shown())
			enter := func(text string) {
				t.Helper()
				p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
				c.wants(text)
			}
			enter("second")
			v.await(c.shown())

			drop()
			<-restored
			enter("third")
			v.await(c.shown())
			if n := v.painted(); n != 1 {
				t.Errorf("%d screens", n)
			}

			v.write(0, []byte("\r\nrunnel: something else\x1b[?1049h\x1b[2J"), 0)
			if err := sess.Repaint(ctx); err != nil {
				t.Fatal(err)
			}
			v.await(c.shown())
			if err := sess.Suspend(ctx); err != nil {
				t.Fatal(err)
			}
			enter("fourth")
			if err := sess.Repaint(ctx); err != nil {
				t.Fatal(err)
			}
			v.await(c.shown())
			if n := v.painted(); n != 3 {
				t.Errorf("%d screens", n)
			}
			p.ok("write", object{"session_id": c.id, "data": "\n"}, nil)
			if rec, err := sess.Wait(ctx); err != nil || rec.Reason != "exited" {
				t.Errorf("%+v, %v", rec, err)
			}
		})
	}
}

// TestClientRepaintRefused: the session stays attached.
func TestClientRepaintRefused(t *testing.T) {
	s := serve(t)
	cl, _ := s.dialClient(t, func() {})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	sess, err := cl.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "read x; echo $x"}, Stdin: "pipe"}, client.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Repaint(ctx); err == nil || !strings.Contains(err.Error(), "pty sessions only") {
		t.Error(err)
	}
	line := "x\n"
	if err := cl.Call(ctx, rpc.MethodWrite, rpc.WriteParams{SessionID: sess.ID(), Data: &line}, nil); err != nil {
		t.Fatal(err)
	}
	if rec, err := sess.Wait(ctx); err != nil || rec.Reason != "exited" {
		t.Errorf("%+v, %v", rec, err)
	}
}
