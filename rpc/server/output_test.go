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

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

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
	for encoding, want := range map[string]string{
		"utf8":   "ok é\n\ufffd\ufffd bad\n\ufffd",
		"base64": "ok é\n\xff\xfe bad\n\xc3",
		"auto":   "ok é\n\xff\xfe bad\n\xc3",
	} {
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

// TestEveryByteIsDelivered: a large file arrives unchanged and before process.completed.
func TestEveryByteIsDelivered(t *testing.T) {
	runParallel(t)
	size := int64(rounds(64, 200)) << 20
	if raceEnabled { // which makes it some forty times slower
		size = 4 << 20
	}
	file := filepath.Join(t.TempDir(), "file")
	want := writeLines(t, file, size)
	s := serve(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*testTimeout)
	defer cancel()
	c, err := client.Dial(ctx, s.url(), client.Options{TLS: s.secure})
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
	runParallel(t)
	if _, err := exec.LookPath("awk"); err != nil {
		t.Skip("requires awk")
	}
	s := serve(t)
	p := s.dial(t)
	n := 100000
	script := `awk 'BEGIN { for (i = 0; i < %d; i++) { print "out", i; print "err", i > "/dev/stderr" } }'; ` +
		`seq 1 %d & seq 1 %d >&2; wait`
	x := p.run(object{"command": fmt.Sprintf(script, n, n, n)})
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
