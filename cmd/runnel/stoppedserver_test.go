package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// stoppable starts a server for which the receive timeout of both sides is three seconds, which two
// programs on a machine under load meet. It is continued at the end of the test.
func (p *testDir) stoppable(t *testing.T, args ...string) (*program, readyFile) {
	t.Helper()
	server, ready := p.serve(t, append([]string{"--ping-interval=1s"}, args...)...)
	t.Cleanup(func() { _ = server.Process.Signal(syscall.SIGCONT) })
	return server, ready
}

// stopProcess stops the program by SIGSTOP.
func (x *program) stopProcess(t *testing.T) {
	t.Helper()
	x.signal(syscall.SIGSTOP)
	awaitState(t, "T", x.pid())
}

// TestStoppedServer: run and attach fail if the server is stopped, after they have tried to
// reconnect.
func TestStoppedServer(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"run", "run --url", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			server, ready := p.stoppable(t)
			const command = "echo ready; exec sleep 1000"
			args := map[string][]string{
				"run":       {"run", "-c", command},
				"run --url": {"run", "--url", ready.URL, "-c", command},
				"attach":    {"attach", "--url", ready.URL},
			}[verb]
			id := ""
			if verb == "attach" {
				id = p.detach(t, "-c", command)
				args = append(args, id)
			}
			x := p.start(t, "runnel-short-linger", args...)
			x.expectLine("ready")
			server.stopProcess(t)
			x.expectExit(125)
			const why = "server does not respond: nothing was received for 3s"
			want := "runnel: lost the server: connection closed: " + why + "\n"
			if verb != "run" {
				want = "runnel: connection lost: " + why + "; reconnecting\n" + want
			}
			if verb == "attach" {
				want = strings.TrimSuffix(want, "\n") + `; if the session goes on, "runnel attach ` + id + "\" comes back to it\n"
			}
			expectEqual(t, x.stderrText(), want)
		})
	}
}

// TestContinuedServer: run reconnects to a server that is continued in time.
func TestContinuedServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, ready := p.stoppable(t)
	x := p.runnel(t, "run", "--url", ready.URL, "-c", "echo ready; read line; echo $line; exit 7")
	x.expectLine("ready")
	server.stopProcess(t)
	x.awaitStderr("server does not respond")
	x.writeStdin("hello\n")
	server.signal(syscall.SIGCONT)
	x.expectLine("hello")
	x.expectExit(7)
	x.awaitStderr("runnel: reconnected\n")
}

// TestStalledNetwork: run and attach replace a connection that is open but does not transfer
// anything.
func TestStalledNetwork(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"run", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			_, ready := p.serve(t, "--ping-interval=1s", "--replay-bytes=16MiB")
			proxy, url := newProxy(t, ready.URL)
			args := []string{"run", "--url", url, "-c", numbered}
			if verb == "attach" {
				args = []string{"attach", "--url", url, p.detach(t, "-c", numbered)}
			}
			x := p.runnel(t, args...)
			x.expectLine("ready")
			proxy.stall(t)
			p.createGoFile(t)
			expectEqual(t, x.readAll(), allNumbered())
			x.expectExit(9)
			x.awaitStderr("server does not respond: nothing was received for 3s; reconnecting\n")
		})
	}
}

// TestVerbsWithAStoppedServer: every verb fails if the server was stopped before the connection, or
// before the reply.
func TestVerbsWithAStoppedServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, ready := p.stoppable(t)
	id := p.detach(t, "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	follows := p.runnel(t, "attach", id)
	follows.expectLine("ready")
	waits := p.runnel(t, "cancel", "--grace=1000s", id)
	if !poll(func() bool {
		ps := p.runnel(t, "ps")
		return strings.Contains(ps.readAll(), "ending")
	}) {
		t.Fatal("no session is ending")
	}
	server.stopProcess(t)
	all := map[*program]string{waits: "connection closed: server does not respond: nothing was received for 3s"}
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
			all[p.start(t, "runnel-short-dial", args...)] = "no response within 500ms"
		}
	}
	for x, why := range all {
		status := exitFailure
		if verb := x.Args[1]; verb == "attach" || verb == "run" {
			status = exitRunnelFailed
		}
		x.expectExit(status)
		x.expectError(why)
	}
	follows.expectExit(exitRunnelFailed)
}

// TestSuspendedClient: a client that was suspended longer than the timeout reads what was received
// meanwhile, and keeps the connection.
func TestSuspendedClient(t *testing.T) {
	t.Parallel()
	suspended, continueClient, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	url := fakeServer(t, func(ws *websocket.Conn) { serveAlive(ws, suspended, continueClient, end) })
	p := newTestDir(t)
	x := p.runnel(t, "run", "-n", "--url", url, "-c", "x")
	x.expectLine("ready")
	x.stopProcess(t)
	close(suspended)
	<-continueClient
	x.signal(syscall.SIGCONT)
	x.expectLine("meanwhile")
	close(end)
	x.expectExit(7)
	expectEqual(t, x.stderrText(), "")
}

// serveAlive is a server of one session that sends a notification every 200 ms, also while its
// client is suspended.
func serveAlive(ws *websocket.Conn, suspended <-chan struct{}, continueClient chan<- struct{}, end <-chan struct{}) {
	ctx := context.Background()
	notify := func(method string, params any) {
		text, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
		_ = ws.Write(ctx, websocket.MessageText, text)
	}
	notify(rpc.NotifyConnected, rpc.Connected{Limits: rpc.Bounds{PingInterval: 1}})
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
			_, _, _ = ws.Read(ctx) // until the client closes the connection
			return
		}
		select {
		case <-suspended:
			if ticks++; ticks == 20 { // longer than the three seconds of the client's timeout
				notify(rpc.NotifyOutput, rpc.Output{SessionID: id, Seq: 16, Type: rpc.StreamStdout, Data: "meanwhile\n"})
				close(continueClient)
				suspended = nil
			}
		default:
		}
	}
}

// TestCallsOnAFullSocket: a call returns when its context ends, even if the server is stopped and
// the socket's buffers are full. The connection stays usable.
func TestCallsOnAFullSocket(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.stoppable(t, "--ping-interval=1h")
	c := dialSocket(t, p.socket())
	server.stopProcess(t)
	fill := map[string]string{"fill": strings.Repeat("x", 500_000)}
	call := func(f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return f(ctx)
	}
	for i := 0; ; i++ { // until the socket is full
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
