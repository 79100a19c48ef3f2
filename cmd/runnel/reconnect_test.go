package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// numbered is a command that, once the file go exists, prints 300,000 numbered lines, 2.1 MB, in
// two seconds.
const (
	numbered      = `echo ready; until [ -e go ]; do sleep 0.01; done; i=0; while [ $i -lt 30 ]; do seq $((i*10000)) $((i*10000+9999)); sleep 0.06; i=$((i+1)); done; exit 9`
	numberedLines = 300_000
)

func allNumbered() string {
	var b strings.Builder
	for i := range numberedLines {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// remote starts a server behind a proxy. Its logs keep all output, so that a slow reconnect loses
// none.
func (p *testDir) remote(t *testing.T) (*proxy, string) {
	t.Helper()
	_, ready := p.serve(t, "--replay-bytes=16MiB")
	return newProxy(t, ready.URL)
}

func (p *testDir) createGoFile(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(p.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectReconnects checks that stderr has a message for each lost connection and each reconnect.
// The last reconnect may have none, since the completion record may be received before the reply to
// attach.
func expectReconnects(t *testing.T, x *program) {
	t.Helper()
	text := x.stderrText()
	lost, restored := strings.Count(text, "; reconnecting\n"), strings.Count(text, "runnel: reconnected\n")
	if lost < 2 || restored != lost && restored != lost-1 || strings.Count(text, "\n") != lost+restored {
		t.Errorf("%d connections lost, %d reconnects: %s", lost, restored, text)
	}
}

// expectEqual compares texts that may be large.
func expectEqual(t *testing.T, got, want string) {
	t.Helper()
	if sha256.Sum256([]byte(got)) == sha256.Sum256([]byte(want)) {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	t.Errorf("got %d bytes, want %d; after %d equal bytes got %.40q, want %.40q", len(got), len(want), n, got[n:], want[n:])
}

func TestOutputOverLostConnections(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"run", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			proxy, url := p.remote(t)
			args := []string{"run", "--url", url, "-c", numbered}
			if verb == "attach" {
				args = []string{"attach", "--url", url, p.detach(t, "-c", numbered)}
			}
			x := p.runnel(t, args...)
			x.expectLine("ready")
			defer proxy.cutRepeatedly()()
			p.createGoFile(t)
			expectEqual(t, x.readAll(), allNumbered())
			x.expectExit(9)
			expectReconnects(t, x)
		})
	}
}

// TestDetachAfterALostReply: run --detach starts one session and prints its id, even if a reply is
// lost.
func TestDetachAfterALostReply(t *testing.T) {
	for _, reply := range []string{`"result":{"status":"started"`, `"result":{}`} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			proxy, url := p.remote(t)
			proxy.discardNext(reply)
			x := p.runnel(t, "run", "--url", url, "--detach", "-c", "echo started >>started; sleep 1000")
			id := strings.TrimSpace(x.readAll())
			x.expectExit(0)
			if text := x.stderrText(); !proxy.discarded() || !strings.Contains(text, "runnel: reconnected\n") {
				t.Errorf("reply discarded: %v; stderr: %s", proxy.discarded(), text)
			}
			poll(func() bool { b, _ := os.ReadFile(p.path("started")); return len(b) > 0 })
			y := p.runnel(t, "cancel", "--url", url, id)
			expectEqual(t, y.readAll(), id+" canceled\n")
			y.expectExit(0)
			if b, _ := os.ReadFile(p.path("started")); string(b) != "started\n" {
				t.Errorf("the file that each start appends a line to is %q, want one line", b)
			}
		})
	}
}

// TestAttachAfterALostReply: attach repeats list, by which it finds the session, and attach, if a
// reply is lost.
func TestAttachAfterALostReply(t *testing.T) {
	for _, reply := range []string{`"result":{"sessions"`, `"result":{"session_id"`} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			proxy, url := p.remote(t)
			id := p.detach(t, "-c", "echo hello; exit 9")
			proxy.discardNext(reply)
			x := p.runnel(t, "attach", "--url", url, id[:20])
			expectEqual(t, x.readAll(), "hello\n")
			x.expectExit(9)
			if text := x.stderrText(); !strings.Contains(text, "; reconnecting\n") {
				t.Errorf("no connection was lost: %s", text)
			}
		})
	}
}

func TestInputOverLostConnections(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	proxy, url := p.remote(t)
	x := p.runnel(t, "run", "--url", url, "-c", "echo ready; cat; exit 9")
	x.expectLine("ready")
	defer proxy.cutRepeatedly()()
	all := allNumbered()
	go func() {
		defer x.in.Close()
		for rest := all; rest != ""; {
			n := min(len(rest), 123_456)
			_, _ = io.WriteString(x.in, rest[:n])
			rest = rest[n:]
			cuts := proxy.cutCount()
			poll(func() bool { return proxy.cutCount() > cuts }) // so that connections are lost during the input
		}
	}()
	expectEqual(t, x.readAll(), all)
	x.expectExit(9)
	expectReconnects(t, x)
}

func TestEveryNotificationIsPrintedOnce(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	proxy, url := p.remote(t)
	x := p.runnel(t, "run", "--json", "--url", url, "-c", numbered)
	var got strings.Builder
	times := make(map[string]int)
	var seq int64
	lines := bufio.NewScanner(x.out)
	lines.Buffer(nil, rpc.MaxFrameBytes)
	var stop func()
	for lines.Scan() {
		var n struct {
			Method string
			Params struct {
				Seq  int64
				Data string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			t.Fatalf("%v: %.100s", err, lines.Bytes())
		}
		times[n.Method]++
		if n.Method == rpc.NotifyConnected {
			continue
		}
		if n.Params.Seq <= seq {
			t.Fatalf("%d after %d: %.100s", n.Params.Seq, seq, lines.Bytes())
		}
		seq = n.Params.Seq
		got.WriteString(n.Params.Data)
		if stop == nil && n.Method == rpc.NotifyOutput {
			stop = proxy.cutRepeatedly()
			defer stop()
			p.createGoFile(t)
		}
	}
	expectEqual(t, got.String(), "ready\n"+allNumbered())
	x.expectExit(9)
	expectReconnects(t, x)
	if times[rpc.NotifyStarted] != 1 || times[rpc.NotifyCompleted] != 1 || times[rpc.NotifyConnected] < 3 {
		t.Errorf("%v", times)
	}
}

// TestReconnectTimeout: run and attach stop trying to reconnect after a time, and the command of
// run ends with its linger.
func TestReconnectTimeout(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	proxy, url := p.remote(t)
	id := p.detach(t, "-c", "echo ready; exec sleep 1000")
	all := []*program{
		p.start(t, "runnel-short-linger", "run", "--url", url, "-c", "echo ready; exec sleep 1000"),
		p.start(t, "runnel-short-linger", "attach", "--url", url, id),
	}
	for _, x := range all {
		x.expectLine("ready")
	}
	proxy.shutDown()
	for _, x := range all {
		x.expectExit(125)
		text := x.stderrText()
		if lines := strings.Split(text, "\n"); len(lines) != 3 || !strings.HasSuffix(lines[0], "; reconnecting") || !strings.HasPrefix(lines[1], "runnel: lost the server: ") {
			t.Errorf("stderr: %s", text)
		}
	}
	if !poll(func() bool { // the session of attach continues
		ps := p.runnel(t, "ps")
		return strings.Count(ps.readAll(), "running") == 1
	}) {
		t.Error("the command of run did not end")
	}
}

// mainWithShortLinger is main for a test in which a connection is lost forever.
func mainWithShortLinger() {
	remoteLinger = 500 * time.Millisecond
	main()
}

// mainWithShortDial is main for a server that never responds. One that is slow may need longer to respond.
func mainWithShortDial() {
	dialTimeout = 500 * time.Millisecond
	main()
}

// TestInterruptsWhileReconnecting: SIGINTs end run and attach while there is no connection.
func TestInterruptsWhileReconnecting(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	proxy, url := p.remote(t)
	id := p.detach(t, "-c", "echo ready; exec sleep 1000")
	run := p.runnel(t, "run", "--url", url, "-c", "trap '' INT TERM"+signalLoop)
	attach := p.runnel(t, "attach", "--url", url, id)
	for _, x := range []*program{run, attach} {
		x.expectLine("ready")
	}
	proxy.shutDown()
	for _, x := range []*program{run, attach} {
		x.awaitStderr("reconnecting")
		x.signalUntilExit(syscall.SIGINT)
		by := x.ProcessState.Sys().(syscall.WaitStatus)
		if by.ExitStatus() != 130 && by.Signal() != syscall.SIGINT { // SIGINT has its default effect at the very end
			t.Errorf("%v; stderr: %s", x.ProcessState, x.stderrText())
		}
	}
}
