//go:build linux

package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/session"
)

// proxiedClient is a client that connects through a proxy, and the calls of its callbacks.
type proxiedClient struct {
	*client.Client
	proxy             *proxy
	dropped, restored chan struct{}
}

func (s *service) proxiedClient(t *testing.T) *proxiedClient {
	t.Helper()
	a := &proxiedClient{proxy: newProxy(t, s.address), dropped: make(chan struct{}, 1000), restored: make(chan struct{}, 1000)}
	var err error
	a.Client, err = client.Dial(t.Context(), s.at(a.proxy.address()), client.Options{TLS: s.secure, Reconnect: &client.Reconnect{
		MinDelay: time.Millisecond,
		MaxDelay: 10 * time.Millisecond,
		Dropped:  func(error) { a.dropped <- struct{}{} },
		Restored: func() { a.restored <- struct{}{} },
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { soon(t, "Close", func() { _ = a.Close() }) })
	return a
}

// soon fails the test if f does not return in time.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	within(t, what, done)
}

func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(testTimeout):
		t.Fatalf("not in %v: %s", testTimeout, what)
	}
}

func (a *proxiedClient) execute(t *testing.T, p rpc.ExecuteParams, e client.Events) *client.Session {
	t.Helper()
	x, err := a.Execute(t.Context(), p, e)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func shell(script string) rpc.ExecuteParams {
	return rpc.ExecuteParams{Command: rpc.Command{Shell: script}, OnDisconnect: rpc.OnDisconnectKeep, Stdin: rpc.StdinPipe}
}

// TestClientRetriesAfterRefusal: while it is refused the client retries, and gets the events
// that it has missed. Dropped and Restored are called.
func TestClientRetriesAfterRefusal(t *testing.T) {
	runParallel(t)
	s := serve(t)
	a := s.proxiedClient(t)
	var out strings.Builder
	x := a.execute(t, shell("echo one; read x; echo two"), client.Events{Output: func(o *client.Output) { out.Write(o.Data) }})
	first := a.Connected().ConnectionID
	a.proxy.refuse(true)
	within(t, "Dropped", a.dropped)
	found, err := s.registry.Find("user", x.ID())
	if err != nil {
		t.Fatal(err)
	}
	<-found.Write([]byte("\n"), nil, nil, true).Done
	within(t, "its end", found.Done())
	refused := a.proxy.refused.Load()
	eventually(t, "the client retries", func() bool { return a.proxy.refused.Load() >= refused+3 })
	if len(a.restored) > 0 {
		t.Error("restored while refused")
	}
	a.proxy.refuse(false)
	within(t, "Restored", a.restored)
	if a.Connected().ConnectionID == first {
		t.Error("restored with the old connection")
	}
	rec, err := x.Wait(t.Context())
	if err != nil || out.String() != "one\ntwo\n" || *rec.ExitCode != 0 {
		t.Errorf("%q, %+v, %v", out.String(), rec, err)
	}
}

// TestSessionRemovedWhileDisconnected: the session ends with the server's error, after all events
// that had arrived before.
func TestSessionRemovedWhileDisconnected(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Session.Retain, set.NoSpool = 50*time.Millisecond, true })
	a := s.proxiedClient(t)
	release, received := make(chan struct{}), make(chan struct{})
	var out strings.Builder
	late := a.execute(t, shell("echo one; read x"), client.Events{Window: 100, Output: func(o *client.Output) {
		close(received)
		<-release
		out.Write(o.Data)
	}})
	x := a.execute(t, shell("read x"), client.Events{})
	within(t, "output", received)
	a.proxy.refuse(true)
	for _, id := range []string{late.ID(), x.ID()} {
		found, err := s.registry.Find("user", id)
		if err != nil {
			t.Fatal(err)
		}
		found.End(session.Canceled, nil)
		eventually(t, "the session is removed", func() bool { _, err := s.registry.Find("user", id); return err != nil })
	}
	a.proxy.refuse(false)
	within(t, "Restored", a.restored)
	gone := func(x *client.Session) {
		t.Helper()
		_, err := x.Wait(t.Context())
		var e *rpc.Error
		if !errors.As(err, &e) || e.Code != rpc.CodeSessionNotFound {
			t.Errorf("%v", err)
		}
	}
	gone(x)
	select {
	case <-late.Done():
		t.Error("done is closed before all events arrived")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	gone(late)
	if out.String() != "one\n" {
		t.Errorf("%q", out.String())
	}
}

// TestKillSessionOfDroppedClient: the lost connection ends the session, and its record still
// arrives.
func TestKillSessionOfDroppedClient(t *testing.T) {
	runParallel(t)
	a := serve(t).proxiedClient(t)
	p := shell("echo one; exec sleep 1000")
	p.OnDisconnect = ""
	begun := make(chan struct{})
	x := a.execute(t, p, client.Events{Output: func(*client.Output) { close(begun) }})
	within(t, "output", begun)
	a.proxy.resetAll()
	rec, err := x.Wait(t.Context())
	if err != nil || rec.Reason != rpc.ReasonDisconnected || *rec.Signal != "SIGTERM" || rec.Output.StdoutBytes != 4 {
		t.Errorf("%+v, %v", rec, err)
	}
}

// TestCloseWhileDisconnected: Close ends the retries, the calls and the sessions.
func TestCloseWhileDisconnected(t *testing.T) {
	runParallel(t)
	for name, leave := range map[string]func(*proxiedClient){
		"Close": func(a *proxiedClient) { _ = a.Close() }, "Abort": func(a *proxiedClient) { a.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t).proxiedClient(t)
			x := a.execute(t, shell("sleep 1000"), client.Events{})
			y := a.execute(t, shell("sleep 1000"), client.Events{Window: 1})
			z := a.execute(t, shell("sleep 1000"), client.Events{Readers: true})
			a.proxy.refuse(true)
			within(t, "Dropped", a.dropped)
			called := make(chan error, 2)
			go func() { called <- a.Call(t.Context(), rpc.MethodPong, nil, nil) }()
			go func() { called <- x.Control(t.Context(), rpc.ControlPause) }()
			eventually(t, "both calls wait for a connection", func() bool {
				return goroutinesIn("TestCloseWhileDisconnected.func", "client.(*Client).awaitConnection(") == 2
			})
			soon(t, name, func() { leave(a) })
			for range 2 {
				if err := <-called; !errors.Is(err, client.ErrClosed) {
					t.Errorf("a call: %v", err)
				}
			}
			for _, s := range []*client.Session{x, y, z} {
				if _, err := s.Wait(t.Context()); !errors.Is(err, client.ErrClosed) {
					t.Errorf("a session: %v", err)
				}
			}
			if n, err := z.Reader("stdout").Read(make([]byte, 1)); n != 0 || !errors.Is(err, client.ErrClosed) {
				t.Errorf("a reader: %d, %v", n, err)
			}
		})
	}
}

// TestAttachBeyondTheEnd: it means the end of the log. Later output arrives, also on another
// connection and with a window that is smaller than the distance.
func TestAttachBeyondTheEnd(t *testing.T) {
	runParallel(t)
	a := serve(t).proxiedClient(t)
	const size = 100000
	for _, c := range []struct {
		events client.Events
		cut    bool
	}{
		{},
		{cut: true},
		{events: client.Events{Window: 1000}},
		{events: client.Events{Window: 1000}, cut: true},
		{events: client.Events{Window: 1000, Readers: true}},
	} {
		x := a.execute(t, shell(fmt.Sprintf("read x; yes 0123456 | head -c %d", size)), client.Events{})
		if err := x.Detach(t.Context()); err != nil {
			t.Fatal(err)
		}
		var n atomic.Int64
		if !c.events.Readers {
			c.events.Output = func(o *client.Output) { n.Add(int64(len(o.Data))) }
		}
		y, _, err := a.Attach(t.Context(), rpc.AttachParams{SessionID: x.ID(), AfterSeq: 1 << 40}, c.events)
		if err != nil {
			t.Fatal(err)
		}
		if c.cut {
			a.proxy.resetAll()
			within(t, "Restored", a.restored)
		}
		if err := y.WriteBytes(t.Context(), []byte("\n"), true); err != nil {
			t.Fatal(err)
		}
		if c.events.Readers {
			soon(t, "reading", func() {
				got, _ := io.Copy(io.Discard, y.Reader(rpc.StreamStdout))
				n.Add(got)
			})
		}
		within(t, "its end", y.Done())
		if rec, err := y.Wait(t.Context()); err != nil || n.Load() != size || y.Seq() != rec.Seq {
			t.Errorf("window %d: %d of %d bytes, at %d of %+v, %v", c.events.Window, n.Load(), size, y.Seq(), rec, err)
		}
	}
}

// TestReadersInSequence: output of the second stream that arrives while the first is read is not
// lost.
func TestReadersInSequence(t *testing.T) {
	runParallel(t)
	a := serve(t).proxiedClient(t)
	for _, window := range []int64{0, 1 << 20} {
		x := a.execute(t, shell("yes out | head -c 4000000; yes err | head -c 300000 >&2; echo last"), client.Events{Readers: true, Window: window})
		for _, c := range []struct{ stream, want string }{
			{rpc.StreamStdout, strings.Repeat("out\n", 1000000) + "last\n"}, {rpc.StreamStderr, strings.Repeat("err\n", 75000)},
		} {
			if got, err := io.ReadAll(x.Reader(c.stream)); err != nil || string(got) != c.want {
				t.Errorf("%s: %d bytes, %v", c.stream, len(got), err)
			}
		}
		for _, stream := range []string{rpc.StreamStdout, rpc.StreamStderr, rpc.StreamPTY} {
			if n, err := x.Reader(stream).Read(make([]byte, 10)); n != 0 || err != io.EOF {
				t.Errorf("after the end of %s: %d, %v", stream, n, err)
			}
		}
	}
}

// TestShortOutputOfOtherStream: a few unread bytes of one stream do not block the other.
func TestShortOutputOfOtherStream(t *testing.T) {
	runParallel(t)
	a := serve(t).proxiedClient(t)
	for _, cuts := range []int{0, 3} {
		x := a.execute(t, shell("echo early >&2; read x; yes 0123456 | head -c 2000000"), client.Events{Readers: true, Window: 50000})
		for range cuts {
			a.proxy.resetAll()
			within(t, "Restored", a.restored)
		}
		if err := x.WriteBytes(t.Context(), []byte("\n"), true); err != nil {
			t.Fatal(err)
		}
		soon(t, "reading", func() {
			n, err := io.Copy(io.Discard, x.Reader(rpc.StreamStdout))
			if got, other := io.ReadAll(x.Reader(rpc.StreamStderr)); n != 2000000 || string(got) != "early\n" || err != nil || other != nil {
				t.Errorf("%d bytes and %q, %v, %v", n, got, err, other)
			}
		})
	}
}

// TestSmallestWindow: a reader gets all output byte by byte.
func TestSmallestWindow(t *testing.T) {
	runParallel(t)
	a := serve(t).proxiedClient(t)
	x := a.execute(t, shell("echo hello; echo world"), client.Events{Readers: true, Window: 1})
	soon(t, "reading", func() {
		if got, err := io.ReadAll(x.Reader(rpc.StreamStdout)); err != nil || string(got) != "hello\nworld\n" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestReadersReturnLoss: at its position, once on each stream, also on one that is opened later.
// Reading then continues.
func TestReadersReturnLoss(t *testing.T) {
	runParallel(t)
	s := serve(t)
	a := s.proxiedClient(t)
	const size = 5000000
	p := shell(fmt.Sprintf("yes 0123456 | head -c %d; echo oops >&2", size))
	p.SlowClient = rpc.SlowClientDrop
	x := a.execute(t, p, client.Events{Readers: true, Window: 10000})
	s.idle()
	soon(t, "reading", func() {
		got, lost := readThrough(t, x.Reader(rpc.StreamStdout))
		if n := len(bytes.Join(got, nil)); n+int(lost) != size || lost < size/2 {
			t.Errorf("%d bytes, and %d lost", n, lost)
		}
		if want := strings.Repeat("0123456\n", size/8); string(got[0]) != want[:len(got[0])] || !strings.HasSuffix(want, string(got[len(got)-1])) {
			t.Error("other bytes")
		}
		errs, alsoLost := readThrough(t, x.Reader(rpc.StreamStderr))
		if string(bytes.Join(errs, nil)) != "oops\n" || len(errs) != 2 || alsoLost != lost {
			t.Errorf("stderr: %q, %d lost", errs, alsoLost)
		}
	})
	if rec, err := x.Wait(t.Context()); err != nil || rec.Output.StdoutBytes != size {
		t.Errorf("%+v, %v", rec, err)
	}
}

// readThrough reads to the end and returns the parts between the losses.
func readThrough(t *testing.T, r io.Reader) (parts [][]byte, lost int64) {
	for {
		got, err := io.ReadAll(r)
		parts = append(parts, got)
		var gap *client.GapError
		if !errors.As(err, &gap) {
			if err != nil {
				t.Errorf("%v", err)
			}
			return parts, lost
		}
		if gap.Reason != rpc.GapSlowClient || gap.LostBytes <= 0 {
			t.Errorf("%+v", gap)
		}
		lost += gap.LostBytes
	}
}

// goroutinesIn returns how many goroutines have all of these functions in their stacks.
func goroutinesIn(functions ...string) (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if !slices.ContainsFunc(functions, func(f string) bool { return !strings.Contains(stack, f) }) {
			n++
		}
	}
	return n
}

// TestStuckConsumerCostsOneWindow: a client whose callback blocks keeps one window of output in
// memory, however often the connection drops. The callback then gets the rest, in order.
func TestStuckConsumerCostsOneWindow(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.ReplayBytes = 256 << 10 })
	a := s.proxiedClient(t)
	const window, drops = 256 << 10, 100
	bound := int64(2 << 20)
	if s.spool != nil {
		bound += 2 << 20 // blocks that are read back, and output that is not stored yet
	}
	before := live()
	held := make(chan struct{})
	var taken, next int64
	x := a.execute(t, rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"yes", "0123456"}}, OnDisconnect: "keep", SlowClient: "drop"}, client.Events{
		Window: window,
		Gap:    func(g rpc.Gap) { next = g.Seq },
		State:  func(e rpc.StateEvent) { next = e.Seq },
		Output: func(o *client.Output) {
			<-held
			if o.Seq-int64(len(o.Data)) != next {
				t.Errorf("output to %d, %d bytes, after %d: %q", o.Seq, len(o.Data), next, o.Data[:min(20, len(o.Data))])
			}
			taken, next = taken+int64(len(o.Data)), o.Seq
		},
	})
	log := must(s.registry.Find("user", x.ID())).Log()
	for range drops {
		a.proxy.resetAll()
		within(t, "Restored", a.restored)
		begin := log.Counts().Written[1]
		eventually(t, "output of the command", func() bool { return log.Counts().Written[1] > begin+4<<20 })
	}
	// The command fills the log at gigabytes per second, and what the server allocates while a
	// garbage collection runs counts as live. So single samples are too large while output flows,
	// by several MiB, and the least of many is compared.
	least := live()
	for i := 1; i < 100 && least > before+bound; i++ {
		least = min(least, live())
	}
	if least > before+bound {
		t.Errorf("while output flows, memory grew from %d KiB to %d KiB", before>>10, least>>10)
	}
	if err := x.Control(t.Context(), rpc.ControlPause); err != nil {
		t.Fatal(err)
	}
	if after := liveAtMost(before + bound); after > before+bound {
		t.Errorf("while paused, memory grew from %d KiB to %d KiB", before>>10, after>>10)
	}
	var rec rpc.CancelResult
	if err := a.Call(t.Context(), rpc.MethodCancel, rpc.CancelParams{SessionID: x.ID()}, &rec); err != nil {
		t.Fatal(err)
	}
	close(held)
	if rec, err := x.Wait(t.Context()); err != nil || rec.Reason != rpc.ReasonCanceled || taken < window {
		t.Errorf("%d bytes, %+v, %v", taken, rec, err)
	}
}

// TestReconnectsKeepTheWindow: a connection after a drop brings output only for what is left of the
// window of a client whose callback blocks.
func TestReconnectsKeepTheWindow(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.ReplayBytes = 256 << 10 })
	a := s.proxiedClient(t)
	const window, size, drops, bound = 128 << 10, 64 << 10, 100, 2 << 20
	held := make(chan struct{})
	p := shell(fmt.Sprintf("while read x; do yes 0123456 | head -c %d; done", size))
	p.SlowClient = rpc.SlowClientDrop
	before := live()
	x := a.execute(t, p, client.Events{Window: window, Output: func(*client.Output) { <-held }})
	log := must(s.registry.Find("user", x.ID())).Log()
	for i := range int64(drops) {
		if err := x.WriteBytes(t.Context(), []byte("\n"), false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the output", func() bool { return log.Counts().Written[1] == (i+1)*size })
		time.Sleep(5 * time.Millisecond) // that no output beyond the window arrives
		a.proxy.resetAll()
		within(t, "Restored", a.restored)
	}
	if after := liveAtMost(before + bound); after > before+bound {
		t.Errorf("memory grew from %d KiB to %d KiB", before>>10, after>>10)
	}
	close(held)
	if err := a.Call(t.Context(), rpc.MethodCancel, rpc.CancelParams{SessionID: x.ID()}, nil); err != nil {
		t.Error(err)
	}
}

// TestBlockedCallback: with a window, a callback that blocks delays neither the connection nor
// other sessions.
func TestBlockedCallback(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) {
		set.Server.PingInterval = time.Second // so one that answers nothing is disconnected after three
		set.Server.WriteTimeout = time.Second
	})
	a := s.proxiedClient(t)
	const size = 1600000
	var got atomic.Int64
	held := make(chan struct{})
	x := a.execute(t, shell(fmt.Sprintf("yes 0123456 | head -c %d", size)), client.Events{Window: 16 << 10, Output: func(o *client.Output) {
		<-held
		got.Add(int64(len(o.Data)))
	}})
	for begin := time.Now(); time.Since(begin) < 3500*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		y := a.execute(t, shell("echo other"), client.Events{})
		if rec, err := y.Wait(t.Context()); err != nil || rec.Status != "completed" {
			t.Fatalf("%+v, %v", rec, err)
		}
	}
	close(held)
	if rec, err := x.Wait(t.Context()); err != nil || got.Load() != size || rec.Output.LostBytes != 0 {
		t.Errorf("%d bytes, %+v, %v", got.Load(), rec, err)
	}
	if len(a.dropped) > 0 {
		t.Error("the connection was dropped")
	}
}

// TestAcksWhileReattaching: a session that was reattached may use up its window before the
// others are reattached; its acks arrive.
func TestAcksWhileReattaching(t *testing.T) {
	runParallel(t)
	const window = 1000
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456\n"), 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var cut bool
	var first string
	consumed := map[string]*atomic.Int64{}
	var s *service
	s = serve(t, func(set *settings) {
		set.Server.Authorize = func(caller access.Identity, _ string, params any) error {
			p, ok := params.(*rpc.AttachParams)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case !cut || !ok:
			case first == "":
				first = p.SessionID
			case first != p.SessionID: // the second: let the first have a window's worth meanwhile
				cut = false
				x, err := s.registry.Find(caller.Principal, first)
				if err != nil {
					return err
				}
				x.Write([]byte("\n"), nil, nil, true)
				poll(func() bool { return consumed[first].Load() >= window-10 })
			}
			return nil
		}
	})
	a := s.proxiedClient(t)
	var all []*client.Session
	for range 2 {
		n := &atomic.Int64{}
		x := a.execute(t, shell("read x; cat "+file), client.Events{Window: window, Output: func(o *client.Output) { n.Add(int64(len(o.Data))) }})
		consumed[x.ID()] = n
		all = append(all, x)
	}
	mu.Lock()
	cut = true
	mu.Unlock()
	a.proxy.resetAll()
	within(t, "Restored", a.restored)
	for _, x := range all {
		if x.ID() != first {
			if err := x.WriteBytes(t.Context(), []byte("\n"), true); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		defer cancel()
		if _, err := x.Wait(ctx); err != nil || consumed[x.ID()].Load() != 80000 {
			t.Errorf("%d bytes, %v", consumed[x.ID()].Load(), err)
		}
	}
}

// TestAbandonedExecute: a command whose execute was canceled is not left running.
func TestAbandonedExecute(t *testing.T) {
	runParallel(t)
	s := serve(t)
	c, err := client.Dial(t.Context(), s.url(), client.Options{TLS: s.secure})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	given := 0
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		x, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"sleep", "600"}}}, client.Events{})
		if err == nil {
			err = x.Control(t.Context(), rpc.ControlCancel)
		} else {
			given++
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if given == 0 {
		t.Error("no execute was abandoned")
	}
	eventually(t, "no session runs", func() bool { return s.registry.Running() == 0 })
}
