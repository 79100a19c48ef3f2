package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// chunks is a command that, once the file go exists, prints 64 chunks of 10,000 numbered lines, 5.7
// MB in all, and appends a line to the file progress after each.
const (
	chunks = `echo ready; until [ -e go ]; do sleep 0.01; done
i=0; while [ $i -lt 64 ]; do seq 1${i}00000 1${i}09999; echo >>progress; i=$((i+1)); done; exit 5`
	chunkCount, chunkLines = 64, 10_000
)

// allChunks returns the output of chunks after its first line.
func allChunks() string {
	var b strings.Builder
	for i := range chunkCount {
		var first int
		_, _ = fmt.Sscan(fmt.Sprintf("1%d00000", i), &first)
		for n := range chunkLines {
			fmt.Fprintln(&b, first+n)
		}
	}
	return b.String()
}

// TestBlockedStdoutBlocksTheCommand: a stdout that is not read, as with `| less`, blocks the
// command for any time, longer than the timeouts of client and server. No output is lost.
func TestBlockedStdoutBlocksTheCommand(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"run in process", "run", "run --url", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			if verb == "run in process" {
				expectBlocked(t, p, p.runnel(t, "run", "-c", chunks))
				return
			}
			_, ready := p.serve(t, "--ping-interval=500ms", "--write-timeout=1s")
			switch verb {
			case "run":
				expectBlocked(t, p, p.runnel(t, "run", "-c", chunks))
			case "run --url":
				expectBlocked(t, p, p.runnel(t, "run", "--url", ready.URL, "-c", chunks))
			case "attach":
				expectBlocked(t, p, p.runnel(t, "attach", p.detach(t, "-c", chunks)))
			}
		})
	}
}

// detach starts a command by run --detach, and returns the id of its session.
func (p *testDir) detach(t *testing.T, args ...string) string {
	t.Helper()
	x := p.runnel(t, append([]string{"run", "--detach"}, args...)...)
	id := x.readLine()
	x.expectExit(0)
	return id
}

// expectBlocked checks that the command blocks while the stdout of x is not read, and that no
// output is lost.
func expectBlocked(t *testing.T, p *testDir, x *program) {
	x.expectLine("ready")
	p.createGoFile(t)
	progress := func() int { return countLines(p.path("progress")) }
	last, since := -1, time.Now()
	poll(func() bool { // until there was no progress for longer than the timeouts
		if n := progress(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 2500*time.Millisecond
	})
	const most = (256<<10 + 1<<20 + 1<<20) / (chunkLines * 8) // the window, the log, and a margin for pipes and buffers
	if last > most {
		t.Errorf("the command has written %d chunks, want at most %d", last, most)
	}
	if x.readAll() != allChunks() {
		t.Error("the output differs from what the command has written")
	}
	x.expectExit(5)
	if text := x.stderrText(); text != "" {
		t.Errorf("stderr: %q", text)
	}
}

// TestClosedStdout: a verb whose stdout is closed exits like a program that is killed by SIGPIPE,
// without a message.
func TestClosedStdout(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	for _, verb := range []string{"openrpc", "help", "run --help"} {
		// The reader exits first, so that the write fails.
		x := p.start(t, "bash", "-c", `rm -f gone; { until [ -e gone ]; do sleep 0.02; done; runnel `+verb+`; } | { exec <&-; touch gone; }; exit ${PIPESTATUS[0]}`)
		x.expectExit(141)
		if text := x.stderrText(); text != "" {
			t.Errorf("%s: stderr is %q", verb, text)
		}
	}
}

// TestAttachWithAClosedStdout: attach exits if its stdout is closed or full, and the session
// continues.
func TestAttachWithAClosedStdout(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	id := p.detach(t, "-c", "while :; do echo more; sleep 0.01; done")
	for _, c := range []struct {
		command, stderr string
		status          int
	}{
		{"runnel attach " + id + " | head -n 1; exit ${PIPESTATUS[0]}", "", 141},
		{"runnel attach " + id + " >/dev/full", "no space left on device\n", 125},
	} {
		x := p.start(t, "bash", "-c", c.command)
		x.expectExit(c.status)
		if text := x.stderrText(); !strings.HasSuffix(text, c.stderr) || c.stderr == "" && text != "" {
			t.Errorf("%s: stderr is %q", c.command, text)
		}
	}
	if got := p.runnel(t, "ps").readAll(); !strings.Contains(got, id+"  running") {
		t.Error(got)
	}
	p.runnel(t, "cancel", id).expectExit(0)
}
