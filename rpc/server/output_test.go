//go:build linux

package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// TestFault3StreamDeadlineForReal: the whole tree of a silent command is ended after
// stream_timeout.
func TestFault3StreamDeadlineForReal(t *testing.T) {
	beside(t)
	s := serve(t)
	p := s.dial(t)
	mark := "RUNNEL_TREE=" + uuid.NewString()
	begin := time.Now()
	x := p.run(object{"command": "sleep 1000 & sleep 1000", "stream_timeout": 0.3, "env": object{"RUNNEL_TREE": mark[12:]}})
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
	if left := marked(mark); len(left) > 0 {
		t.Errorf("alive: %v", left)
	}
	if r := x.record; r.Reason != "stream_timeout" || r.Status != "failed" || deref(r.Signal) != "SIGTERM" || r.ExitCode != nil || r.Escalated {
		t.Errorf("%+v", r)
	}
	// Either stream counts as a sign of life.
	x = p.run(object{"command": "for i in 1 2 3 4 5 6; do sleep 0.2; echo x >&2; done", "stream_timeout": 0.9})
	if x.record.Reason != "exited" || x.stderr() != strings.Repeat("x\n", 6) {
		t.Errorf("%+v", x.record)
	}
	// Without a timeout the server's default applies; null and 0 mean none.
	s = serve(t, func(set *settings) { set.Server.Defaults.StreamTimeout = 200 * time.Millisecond })
	p = s.dial(t)
	if x := p.run(object{"command": "exec sleep 1000"}); x.record.Reason != "stream_timeout" {
		t.Errorf("%+v", x.record)
	}
	for _, none := range []any{nil, 0} {
		if x := p.run(object{"command": "sleep 0.4", "stream_timeout": none}); x.record.Reason != "exited" {
			t.Errorf("%+v", x.record)
		}
	}
}

// TestFault3BlockedIsNotSilent: a command that is blocked by a slow client does not count as
// silent.
func TestFault3BlockedIsNotSilent(t *testing.T) {
	beside(t)
	s := serve(t)
	p := s.dial(t)
	id := uuid.NewString()
	p.good(p.call("execute", object{"command": "yes | head -c 6000000", "stream_timeout": 0.3, "session_id": id}))
	p.pings(func() { time.Sleep(1100 * time.Millisecond) }) // and reads nothing meanwhile
	x := &transcript{id: id, hash: func(string, []byte) {}}
	p.follow(x)
	if x.record.Reason != "exited" || x.bytes["stdout"] != 6000000 {
		t.Errorf("%d bytes, %+v", x.bytes["stdout"], x.record)
	}
}

// TestFault5LongLines: lines at, just below and just above the bound, with and without a
// newline.
func TestFault5LongLines(t *testing.T) {
	beside(t)
	s := serve(t)
	p := s.dial(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "lines")
	for _, bound := range []int{1, 10, 1 << 16, 1 << 20} {
		for _, more := range []int{-1, 0, 1, 5000} {
			for _, newline := range []bool{false, true} {
				n := bound + more
				if n == 0 || bound == 1<<20 && (more < 0 || more > 1 || !newline) {
					continue
				}
				line := strings.Repeat("x", n)
				content := "first\n" + line
				if bound < 5 {
					content = line
				}
				if newline {
					content += "\nlast\n"
					if bound < 5 {
						content = line + "\ny\n"
					}
				}
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				params := object{"command": []string{"cat", file}, "max_line_bytes": bound}
				if bound == 1<<20 {
					delete(params, "max_line_bytes") // the default
				}
				x := p.run(params)
				want := content
				truncated, dropped := int64(0), int64(0)
				if n > bound {
					want = strings.Replace(content, line, line[:bound]+"...", 1)
					truncated, dropped = 1, int64(n-bound)
				}
				if x.stdout() != want {
					t.Errorf("bound %d, line %d, newline %v: received %d bytes of %d", bound, n, newline, len(x.stdout()), len(want))
				}
				o := x.record.Output
				if o.TruncatedLines != truncated || o.DroppedBytes != dropped || o.StdoutBytes != int64(len(content)) {
					t.Errorf("bound %d, line %d, newline %v: %+v", bound, n, newline, o)
				}
				checkFlags(t, x, truncated == 1, newline, dropped)

				params["overflow"] = "split"
				if x = p.run(params); x.stdout() != content || x.record.Output.TruncatedLines != 0 {
					t.Errorf("split, bound %d, line %d, newline %v: received %d bytes of %d", bound, n, newline, len(x.stdout()), len(content))
				}
			}
		}
	}
}

// checkFlags checks how a truncated line is marked.
func checkFlags(t *testing.T, x *transcript, truncated, newline bool, dropped int64) {
	t.Helper()
	flagged, said := 0, int64(0)
	for _, o := range x.outputs {
		if o.Truncated {
			flagged++
			if !o.Partial || !strings.HasSuffix(o.Data, "...") {
				t.Errorf("truncated, partial %v: …%q", o.Partial, o.Data[max(0, len(o.Data)-10):])
			}
		}
		if o.DroppedBytes > 0 && o.Data[0] != '\n' {
			t.Errorf("dropped_bytes with %q", o.Data)
		}
		said += o.DroppedBytes
		if whole := strings.HasSuffix(o.Data, "\n"); whole == o.Partial {
			t.Errorf("partial %v: …%q", o.Partial, o.Data[max(0, len(o.Data)-10):])
		}
	}
	if (flagged == 1) != truncated || newline && said != dropped {
		t.Errorf("%d lines flagged, %d dropped bytes reported of %d", flagged, said, dropped)
	}
}

// TestFault5EndlessLine: a line of 100 MB needs no more memory than one of a kilobyte.
func TestFault5EndlessLine(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	const size = 100000000
	for _, overflow := range []string{"truncate", "split"} {
		n := size
		if raceEnabled && overflow == "split" {
			n = size / 10 // the client gets all of it
		}
		x := &transcript{id: uuid.NewString()}
		if overflow == "split" {
			x.hash = func(string, []byte) {}
		}
		flat(t, 8<<20, func() {
			p.good(p.call("execute", object{"command": fmt.Sprintf(`head -c %d /dev/zero | tr '\0' x; echo; echo after`, n),
				"overflow": overflow, "session_id": x.id, "max_line_bytes": 100000}))
			p.follow(x)
		})
		o := x.record.Output
		if x.record.Status != "completed" || o.StdoutBytes != int64(n)+7 {
			t.Errorf("%s: %+v", overflow, x.record)
		}
		switch overflow {
		case "truncate":
			if want := strings.Repeat("x", 100000) + "...\nafter\n"; x.stdout() != want || o.TruncatedLines != 1 || o.DroppedBytes != int64(n)-100000 {
				t.Errorf("%d bytes, %+v", len(x.stdout()), o)
			}
			checkFlags(t, x, true, true, int64(n)-100000)
		case "split":
			if x.bytes["stdout"] != int64(n)+7 || o.TruncatedLines != 0 || o.DroppedBytes != 0 {
				t.Errorf("%d bytes, %+v", x.bytes["stdout"], o)
			}
		}
	}
}

// TestPartialLines: a prompt without a newline is sent soon.
func TestPartialLines(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.start(object{"command": `printf "name? "; read x; printf "hello %s" "$x"`, "stdin": "pipe"})
	var o rpc.Output
	p.decode(p.event("process.output", id).Params, &o)
	if o.Data != "name? " || !o.Partial {
		t.Errorf("%+v", o)
	}
	p.ok("write", object{"data": "you\n"}, nil)
	p.decode(p.event("process.output", id).Params, &o)
	if o.Data != "hello you" || !o.Partial {
		t.Errorf("%+v", o)
	}
}

// TestEncodings: output that is not UTF-8 in each encoding.
func TestEncodings(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	script := `printf 'ok \303\251\n\377\376 bad\n\303'`
	for encoding, want := range map[string]string{"utf8": "ok é\n\ufffd\ufffd bad\n\ufffd", "base64": "ok é\n\xff\xfe bad\n\xc3", "auto": "ok é\n\xff\xfe bad\n\xc3"} {
		x := p.run(object{"command": script, "encoding": encoding})
		replaced := 0
		for _, o := range x.outputs {
			replaced += o.Replaced
		}
		if x.stdout() != want || (encoding == "utf8") != (replaced == 3) || x.record.Output.StdoutBytes != 14 {
			t.Errorf("%s: %q, %d replaced, %+v", encoding, x.stdout(), replaced, x.record.Output)
		}
		var r struct{ Stdout, StdoutEncoding string }
		p.ok("execute", object{"command": script, "encoding": encoding, "wait": true}, &r)
		p.pending = nil
		if encoding == "utf8" && r.Stdout != want {
			t.Errorf("captured: %q", r.Stdout)
		}
	}
	// No chunk cuts a character, however it is written.
	x := p.run(object{"command": `for i in 1 2 3 4 5 6; do printf '\360\237'; sleep 0.02; printf '\230\200'; done; echo`})
	if want := strings.Repeat("😀", 6) + "\n"; x.stdout() != want {
		t.Errorf("%q", x.stdout())
	}
}

// TestEveryByte: a large file arrives unchanged and before process.completed.
func TestEveryByte(t *testing.T) {
	beside(t)
	size := int64(200 << 20)
	if raceEnabled { // which makes it some forty times slower
		size = 4 << 20
	}
	file := filepath.Join(t.TempDir(), "file")
	want := writeLines(t, file, size)
	s := serve(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	c, err := client.Dial(ctx, s.url(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, mode := range []string{"lines", "raw"} {
		h := sha256.New()
		seq, got := int64(1), int64(0)
		x, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"cat", file}}, Mode: mode}, client.Events{
			Output: func(o *client.Output) {
				seq += int64(len(o.Data))
				got += int64(len(o.Data))
				if o.Seq != seq || o.Type != "stdout" {
					t.Errorf("seq %d, want %d, %s", o.Seq, seq, o.Type)
				}
				h.Write(o.Data)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		rec, err := x.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(h.Sum(nil)) != want || got != size || rec.Seq != seq+1 || rec.Output.StdoutBytes != size || rec.Status != "completed" {
			t.Errorf("%s: %d bytes of %d, another sum or %+v", mode, got, size, rec)
		}
	}
}

// writeLines writes a file with lines of various lengths, and returns its sum.
func writeLines(t *testing.T, file string, size int64) string {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	r := rand.New(rand.NewPCG(7, 7))
	block := []byte(strings.Repeat("0123456789\t\"\\é<&>\u2028 ", 8000))
	for size > 0 {
		n := 1 << r.IntN(17)
		line := append(bytes.ToValidUTF8(block[:r.IntN(n)+1], []byte("?")), '\n')
		line = line[max(0, int64(len(line))-size):]
		if !bytes.Equal(line, bytes.ToValidUTF8(line, nil)) {
			line = bytes.Repeat([]byte{'.'}, len(line))
		}
		size -= int64(len(line))
		_, _ = io.MultiWriter(f, h).Write(line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestTwoStreams: stdout and stderr are each complete and in order.
func TestTwoStreams(t *testing.T) {
	beside(t)
	if _, err := exec.LookPath("awk"); err != nil {
		t.Skip("no awk")
	}
	s := serve(t)
	p := s.dial(t)
	n := 100000
	x := p.run(object{"command": fmt.Sprintf(`awk 'BEGIN { for (i = 0; i < %d; i++) { print "out", i; print "err", i > "/dev/stderr" } }'; seq 1 %d & seq 1 %d >&2; wait`, n, n, n)})
	var out, err strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "out %d\n", i)
		fmt.Fprintf(&err, "err %d\n", i)
	}
	for i := range n {
		fmt.Fprintf(&out, "%d\n", i+1)
		fmt.Fprintf(&err, "%d\n", i+1)
	}
	if x.stdout() != out.String() || x.stderr() != err.String() {
		t.Errorf("%d and %d bytes of %d and %d", len(x.stdout()), len(x.stderr()), out.Len(), err.Len())
	}
}
