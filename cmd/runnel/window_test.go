package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// chunks prints, once told to go, 64 chunks of 10,000 numbered lines, 5.7 MB together, and notes each in progress.
const (
	chunks = `echo ready; until [ -e go ]; do sleep 0.01; done
i=0; while [ $i -lt 64 ]; do seq 1${i}00000 1${i}09999; echo >>progress; i=$((i+1)); done; exit 5`
	chunkCount, chunkLines = 64, 10_000
)

// allChunks is what chunks prints behind its first line.
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

// A stdout that nobody reads, as that of `| less`, holds the command up for as long as it likes, longer than any
// peer may be silent or take nothing; and then nothing is missing.
func TestBlockedStdoutHoldsTheCommand(t *testing.T) {
	for _, verb := range []string{"alone", "run", "run by url", "attach"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if verb == "alone" {
				held(t, p, p.runnel(t, "run", "-c", chunks))
				return
			}
			_, ready := p.serve(t, "--ping-interval=200ms", "--write-timeout=300ms")
			switch verb {
			case "run":
				held(t, p, p.runnel(t, "run", "-c", chunks))
			case "run by url":
				held(t, p, p.runnel(t, "run", "--url", ready.URL, "-c", chunks))
			case "attach":
				held(t, p, p.runnel(t, "attach", p.detached(t, "-c", chunks)))
			}
		})
	}
}

// detached starts a command that nobody is attached to, and returns its session's id.
func (p *place) detached(t *testing.T, args ...string) string {
	t.Helper()
	x := p.runnel(t, append([]string{"run", "--detach"}, args...)...)
	id := x.line()
	x.exits(0)
	return id
}

func held(t *testing.T, p *place, x *program) {
	x.expect("ready")
	p.letGo(t)
	progress := func() int { return fileLines(p.path("progress")) }
	last, since := -1, time.Now()
	poll(func() bool {
		if n := progress(); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 1200*time.Millisecond
	})
	const most = (256<<10 + 1<<20 + 1<<20) / (chunkLines * 8) // the window, the log, and a wide margin for pipes and buffers
	if last > most {
		t.Errorf("the command went on for %d chunks of at most %d", last, most)
	}
	if x.rest() != allChunks() {
		t.Error("what was printed is not what the command wrote")
	}
	x.exits(5)
	if said := x.errors(); said != "" {
		t.Errorf("stderr: %q", said)
	}
}

// A verb whose reader has gone ends as any other program would, without a word.
func TestNobodyReadsStdout(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	x := p.start(t, "bash", "-c", `runnel openrpc | true; exit ${PIPESTATUS[0]}`)
	x.exits(141)
	if said := x.errors(); said != "" {
		t.Errorf("stderr is %q", said)
	}
}

// TestNobodyReadsAttach: it ends as any other program would, and the session runs on.
func TestNobodyReadsAttach(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.serve(t)
	id := p.detached(t, "-c", "while :; do echo more; sleep 0.01; done")
	for _, c := range []struct {
		how, says string
		status    int
	}{
		{"runnel attach " + id + " | head -n 1; exit ${PIPESTATUS[0]}", "", 141},
		{"runnel attach " + id + " >/dev/full", "no space left on device\n", 125},
	} {
		x := p.start(t, "bash", "-c", c.how)
		x.exits(c.status)
		if said := x.errors(); !strings.HasSuffix(said, c.says) || c.says == "" && said != "" {
			t.Errorf("%s: stderr is %q", c.how, said)
		}
	}
	if got := p.runnel(t, "ps").rest(); !strings.Contains(got, id+"  running") {
		t.Error(got)
	}
	p.runnel(t, "cancel", id).exits(0)
}
