package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// stoppable starts a server whose silence is told after a second. It goes on at the end of the test.
func (p *place) stoppable(t *testing.T, args ...string) (*program, readyFile) {
	t.Helper()
	server, ready := p.serve(t, append([]string{"--ping-interval=200ms"}, args...)...)
	t.Cleanup(func() { _ = server.Process.Signal(syscall.SIGCONT) })
	return server, ready
}

func (x *program) stop(t *testing.T) {
	t.Helper()
	x.signal(syscall.SIGSTOP)
	becomes(t, "T", x.pid())
}

// A server that was stopped answers nobody. What follows a session there ends, after it has tried to come back.
func TestStoppedServerIsGivenUp(t *testing.T) {
	for _, verb := range []string{"run", "run by url", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			server, ready := p.stoppable(t)
			const command = "echo ready; exec sleep 1000"
			args := map[string][]string{
				"run":        {"run", "-c", command},
				"run by url": {"run", "--url", ready.URL, "-c", command},
				"attach":     {"attach", "--url", ready.URL},
			}[verb]
			if verb == "attach" {
				args = append(args, p.detached(t, "-c", command))
			}
			x := p.start(t, "hasty-runnel", args...)
			x.expect("ready")
			server.stop(t)
			x.exits(125)
			const why = "server does not respond: nothing was received for 1s"
			want := "runnel: lost the server: connection closed: " + why + "\n"
			if verb != "run" {
				want = "runnel: connection lost: " + why + "; reconnecting\n" + want
			}
			same(t, x.errors(), want)
		})
	}
}

// One that goes on in time is come back to.
func TestServerThatWasStoppedIsComeBackTo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, ready := p.stoppable(t)
	x := p.runnel(t, "run", "--url", ready.URL, "-c", "echo ready; read line; echo $line; exit 7")
	x.expect("ready")
	server.stop(t)
	x.logs("server does not respond")
	x.types("hello\n")
	server.signal(syscall.SIGCONT)
	x.expect("hello")
	x.exits(7)
	x.logs("runnel: reconnected\n")
}

// A connection on which nothing is carried any more, though it is open, is left for another one.
func TestStalledNetwork(t *testing.T) {
	for _, verb := range []string{"run", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			_, ready := p.serve(t, "--ping-interval=200ms", "--replay-bytes=16MiB")
			proxy, url := through(t, ready.URL)
			args := []string{"run", "--url", url, "-c", numbered}
			if verb == "attach" {
				args = []string{"attach", "--url", url, p.detached(t, "-c", numbered)}
			}
			x := p.runnel(t, args...)
			x.expect("ready")
			proxy.stall()
			p.letGo(t)
			same(t, x.rest(), allNumbered())
			x.exits(9)
			x.logs("server does not respond: nothing was received for 1s; reconnecting\n")
		})
	}
}

// Every other verb ends, too, whether the server was stopped before it connected or while it answers.
func TestVerbsEndWhenTheServerIsStopped(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, ready := p.stoppable(t)
	id := p.detached(t, "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	follows := p.runnel(t, "attach", id)
	follows.expect("ready")
	waits := p.runnel(t, "cancel", "--grace=1000s", id)
	if !poll(func() bool {
		ps := p.runnel(t, "ps")
		return strings.Contains(ps.rest(), "ending")
	}) {
		t.Fatal("nothing ends")
	}
	server.stop(t)
	all := map[*program]string{waits: "connection closed: server does not respond: nothing was received for 1s"}
	for _, url := range []string{"", "--url=" + ready.URL} {
		for _, verb := range []string{"ps", "logs", "cancel", "pause", "resume", "attach", "run"} {
			args := []string{verb}
			if url != "" {
				args = append(args, url)
			}
			switch verb {
			case "ps":
			case "run":
				args = append(args, "true")
			default:
				args = append(args, id)
			}
			all[p.start(t, "hasty-runnel", args...)] = "no response within 500ms"
		}
	}
	for x, why := range all {
		status := exitFailure
		if verb := x.Args[1]; verb == "attach" || verb == "run" {
			status = exitRunnelFailed
		}
		x.exits(status)
		x.says(why)
	}
	follows.exits(exitRunnelFailed)
}

// A client that was suspended itself takes no server for silent: what came meanwhile is read first.
func TestSuspendedClient(t *testing.T) {
	t.Parallel()
	suspended, goneOn, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		lives(ws, suspended, goneOn, end)
	}))
	t.Cleanup(srv.Close)
	p := newPlace(t)
	x := p.runnel(t, "run", "-n", "--url", "ws"+strings.TrimPrefix(srv.URL, "http"), "-c", "x")
	x.expect("ready")
	x.stop(t)
	close(suspended)
	<-goneOn
	x.signal(syscall.SIGCONT)
	x.expect("meanwhile")
	close(end)
	x.exits(7)
	same(t, x.errors(), "")
}

// lives is a server of one session that says something five times a second, also while its client is suspended.
func lives(ws *websocket.Conn, suspended <-chan struct{}, goneOn chan<- struct{}, end <-chan struct{}) {
	ctx := context.Background()
	notify := func(method string, params any) {
		text, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
		_ = ws.Write(ctx, websocket.MessageText, text)
	}
	notify(rpc.NotifyConnected, rpc.Connected{Limits: rpc.Bounds{PingInterval: 0.2}})
	var request struct {
		ID     string
		Params struct {
			SessionID string `json:"session_id"`
		}
	}
	_, text, err := ws.Read(ctx)
	if err != nil || json.Unmarshal(text, &request) != nil {
		return
	}
	id := request.Params.SessionID
	_ = ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%q,"result":{"session_id":%q}}`, request.ID, id))
	notify(rpc.NotifyOutput, rpc.Output{SessionID: id, Seq: 6, Type: rpc.StreamStdout, Data: "ready\n"})
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ticks := 0; ; {
		select {
		case <-tick.C:
			notify("alive", nil)
		case <-end:
			code := 7
			notify(rpc.NotifyCompleted, rpc.Completion{SessionID: id, Seq: 17, Reason: rpc.ReasonExited, ExitCode: &code})
			_, _, _ = ws.Read(ctx) // until the client goes
			return
		}
		select {
		case <-suspended:
			if ticks++; ticks == 8 {
				notify(rpc.NotifyOutput, rpc.Output{SessionID: id, Seq: 16, Type: rpc.StreamStdout, Data: "meanwhile\n"})
				close(goneOn)
				suspended = nil
			}
		default:
		}
	}
}

// A call ends with its context also when the server was stopped and its socket is full, and the connection lives on.
func TestCallsOnAFullSocket(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	server, _ := p.stoppable(t, "--ping-interval=1h")
	c := p.dialSocket(t)
	server.stop(t)
	fill := map[string]string{"fill": strings.Repeat("x", 500_000)}
	call := func(f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return f(ctx)
	}
	for i := 0; ; i++ { // until nothing is taken
		if err := call(func(ctx context.Context) error { return c.Notify(ctx, "none", fill) }); err != nil {
			if i == 1000 || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			break
		}
	}
	begin := time.Now()
	for range 20 {
		err := call(func(ctx context.Context) error { return c.Call(ctx, rpc.MethodList, nil, nil) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("calls of 50 ms took %v", took/20)
	}
	server.signal(syscall.SIGCONT)
	if err := c.Call(t.Context(), rpc.MethodList, nil, nil); err != nil {
		t.Error(err)
	}
}
