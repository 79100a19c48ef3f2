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

// numbered prints 300,000 numbered lines, 2.1 MB, in two seconds, once it is told to go.
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

// remote is a server behind a proxy. No log of it is too short for a drop that takes long.
func (p *place) remote(t *testing.T) (*proxy, string) {
	t.Helper()
	_, ready := p.serve(t, "--replay-bytes=16MiB")
	return through(t, ready.URL)
}

func (p *place) letGo(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(p.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cameBack: each drop was told, and each return; but that the end may come with what the last attach brings, before
// it is known to have worked.
func cameBack(t *testing.T, x *program) {
	t.Helper()
	said := x.errors()
	lost, back := strings.Count(said, "; reconnecting\n"), strings.Count(said, "runnel: reconnected\n")
	if lost < 2 || back != lost && back != lost-1 || strings.Count(said, "\n") != lost+back {
		t.Errorf("lost %d times, back %d times: %s", lost, back, said)
	}
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if sha256.Sum256([]byte(got)) == sha256.Sum256([]byte(want)) {
		return
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	t.Errorf("%d bytes, not %d; the first %d are as expected, then %.40q, not %.40q", len(got), len(want), n, got[n:], want[n:])
}

func TestOutputSurvivesDrops(t *testing.T) {
	for _, verb := range []string{"run", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			proxy, url := p.remote(t)
			args := []string{"run", "--url", url, "-c", numbered}
			if verb == "attach" {
				args = []string{"attach", "--url", url, p.detached(t, "-c", numbered)}
			}
			x := p.runnel(t, args...)
			x.expect("ready")
			defer proxy.cutting()()
			p.letGo(t)
			same(t, x.rest(), allNumbered())
			x.exits(9)
			cameBack(t, x)
		})
	}
}

// TestDetachSurvivesALostAnswer: what runs is never left without a word of its id.
func TestDetachSurvivesALostAnswer(t *testing.T) {
	for _, answer := range []string{`"result":{"status":"started"`, `"result":{}`} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			proxy, url := p.remote(t)
			proxy.lose(answer)
			x := p.runnel(t, "run", "--url", url, "--detach", "-c", "echo started >>started; sleep 1000")
			id := strings.TrimSpace(x.rest())
			x.exits(0)
			proxy.mu.Lock()
			lost := proxy.lost == nil
			proxy.mu.Unlock()
			if said := x.errors(); !lost || !strings.Contains(said, "runnel: reconnected\n") {
				t.Errorf("lost the answer %v: %s", lost, said)
			}
			poll(func() bool { b, _ := os.ReadFile(p.path("started")); return len(b) > 0 })
			y := p.runnel(t, "cancel", "--url", url, id)
			same(t, y.rest(), id+" canceled\n")
			y.exits(0)
			if b, _ := os.ReadFile(p.path("started")); string(b) != "started\n" {
				t.Errorf("started as often as %q says", b)
			}
		})
	}
}

// TestAttachSurvivesALostAnswer: also one that it finds the session by.
func TestAttachSurvivesALostAnswer(t *testing.T) {
	for _, answer := range []string{`"result":{"sessions"`, `"result":{"session_id"`} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			proxy, url := p.remote(t)
			id := p.detached(t, "-c", "echo hello; exit 9")
			proxy.lose(answer)
			x := p.runnel(t, "attach", "--url", url, id[:20])
			same(t, x.rest(), "hello\n")
			x.exits(9)
			if said := x.errors(); !strings.Contains(said, "; reconnecting\n") {
				t.Errorf("nothing was lost: %s", said)
			}
		})
	}
}

func TestInputSurvivesDrops(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	proxy, url := p.remote(t)
	x := p.runnel(t, "run", "--url", url, "-c", "echo ready; cat; exit 9")
	x.expect("ready")
	defer proxy.cutting()()
	all := allNumbered()
	go func() {
		for rest := all; rest != ""; time.Sleep(10 * time.Millisecond) { // over many drops
			n := min(len(rest), 12_345)
			_, _ = io.WriteString(x.in, rest[:n])
			rest = rest[n:]
		}
		_ = x.in.Close()
	}()
	same(t, x.rest(), all)
	x.exits(9)
	cameBack(t, x)
}

func TestEveryNotificationIsPrintedOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
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
			stop = proxy.cutting()
			defer stop()
			p.letGo(t)
		}
	}
	same(t, got.String(), "ready\n"+allNumbered())
	x.exits(9)
	cameBack(t, x)
	if times[rpc.NotifyStarted] != 1 || times[rpc.NotifyCompleted] != 1 || times[rpc.NotifyConnected] < 3 {
		t.Errorf("%v", times)
	}
}

// A server that does not come back is waited for, but not forever.
func TestServerGoneForGood(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	proxy, url := p.remote(t)
	id := p.detached(t, "-c", "echo ready; exec sleep 1000")
	all := []*program{
		p.start(t, "hasty-runnel", "run", "--url", url, "-c", "echo ready; exec sleep 1000"),
		p.start(t, "hasty-runnel", "attach", "--url", url, id),
	}
	for _, x := range all {
		x.expect("ready")
	}
	proxy.vanish()
	for _, x := range all {
		x.exits(125)
		said := x.errors()
		if lines := strings.Split(said, "\n"); len(lines) != 3 || !strings.HasSuffix(lines[0], "; reconnecting") || !strings.HasPrefix(lines[1], "runnel: lost the server: ") {
			t.Errorf("stderr: %s", said)
		}
	}
	if !poll(func() bool { // the command of run is not kept for longer than that
		ps := p.runnel(t, "ps")
		return strings.Count(ps.rest(), "running") == 1
	}) {
		t.Error("the command of run is there still")
	}
}

// hasty is the program with less patience for a server that is gone.
func hasty() {
	remoteLinger, dialTimeout = 500*time.Millisecond, 500*time.Millisecond
	main()
}

// Ctrl-C too many ends what waits for its server, and one ends what only looks on.
func TestInterruptsWhileReconnecting(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	proxy, url := p.remote(t)
	id := p.detached(t, "-c", "echo ready; exec sleep 1000")
	run := p.runnel(t, "run", "--url", url, "-c", "trap '' INT TERM"+loop)
	attach := p.runnel(t, "attach", "--url", url, id)
	for _, x := range []*program{run, attach} {
		x.expect("ready")
	}
	proxy.vanish()
	for _, x := range []*program{run, attach} {
		x.logs("reconnecting")
		x.endBy(syscall.SIGINT)
		by := x.ProcessState.Sys().(syscall.WaitStatus)
		if by.ExitStatus() != 130 && by.Signal() != syscall.SIGINT { // it may come while the farewell is said
			t.Errorf("%v; stderr: %s", x.ProcessState, x.errors())
		}
	}
}
