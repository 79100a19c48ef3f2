//go:build linux

package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// joined checks the events of a session on any number of connections against the output of the
// command. Only process.started is before the output, so a position is an offset plus one.
type joined struct {
	t    testing.TB
	want []byte
	seq  int64
	got  int64 // bytes
	lost int64 // bytes, according to gaps
	done *rpc.Completion
}

func (j *joined) take(p *peer, m *message) {
	j.t.Helper()
	switch m.Method {
	case "process.output":
		var o rpc.Output
		p.decode(m.Params, &o)
		from := o.Seq - int64(len(o.Data))
		if from != j.seq || from < 1 || string(j.want[from-1:o.Seq-1]) != o.Data {
			j.t.Fatalf("at %d: output from %d to %d is not what was written", j.seq, from, o.Seq)
		}
		j.seq = o.Seq
		j.got += int64(len(o.Data))
	case "process.gap":
		var g rpc.Gap
		p.decode(m.Params, &g)
		if g.FromSeq != j.seq || g.Seq-g.FromSeq < g.LostBytes || g.LostBytes < g.Seq-g.FromSeq-1 || g.Reason != "replay_window" {
			j.t.Fatalf("at %d: %+v", j.seq, g)
		}
		j.seq = g.Seq
		j.lost += g.LostBytes
	case "process.started":
		j.seq = 1
	case "process.completed":
		p.decode(m.Params, &j.done)
	}
}

// TestReattachAfterReset: a connection is reset at 200 random moments of a large output, and
// another one attaches after the last event. Each byte arrives once or is reported as lost, and
// none is lost if the log is large enough.
func TestReattachAfterReset(t *testing.T) {
	runParallel(t)
	cuts := int64(rounds(60, 200))
	step := int64(256 << 10) // the command writes that at once
	if raceEnabled {
		step = 10 << 10
	}
	file := filepath.Join(t.TempDir(), "file")
	writeNumbers(t, file, int(cuts*step))
	want := must(os.ReadFile(file))
	size := int64(len(want))
	for name, c := range map[string]struct {
		replay int64
		lossy  bool
	}{
		"a flood":                {step / 4, !raceEnabled}, // a small step is one entry, which a log always keeps
		"a client that keeps up": {1 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(set *settings) { set.Session.ReplayBytes, set.NoSpool = c.replay, c.lossy })
			id := uuid.NewString()
			command := fmt.Sprintf("i=0; while read x; do dd if=%s bs=%d skip=$i count=1 status=none; i=$((i+1)); done", file, step)
			p := s.dial(t)
			p.good(p.call("execute", object{"command": command, "session_id": id, "on_disconnect": "keep", "stdin": "pipe", "mode": "raw"}))
			j := &joined{t: t, want: want}
			r := rand.New(rand.NewPCG(1, 2))
			var asked, cut int64
			ask := func() {
				p.request("write", object{"session_id": id, "data": "\n", "eof": asked >= size, "offset": (asked+step-1)/step - 1})
			}
			again := func() {
				cut++
				p.reset()
				p = s.dial(t)
				p.ok("attach", object{"session_id": id, "after_seq": j.seq}, nil)
				ask() // the write may have been lost with the connection
			}
			moment := int64(-1) // of the next cut
			for j.done == nil {
				if asked < size && j.got+j.lost > asked-utf8.UTFMax { // a step may end inside a character
					asked = min(asked+step, size)
					moment = asked - r.Int64N(step+1)
					ask()
					if r.IntN(2) == 0 {
						again()
						moment = size
					}
				}
				m := p.any()
				if m.session == id && m.Method != "" {
					j.take(p, m)
				}
				if j.done == nil && moment >= 0 && moment < size && j.got+j.lost > moment {
					again()
					moment = size
				}
			}
			if j.got+j.lost != size || j.seq+1 != j.done.Seq || (j.lost > 0) != c.lossy {
				t.Errorf("got %d and lost %d of %d bytes; at %d of %d", j.got, j.lost, size, j.seq, j.done.Seq)
			}
			if *j.done.ExitCode != 0 || j.done.Output.LostBytes > j.lost {
				t.Errorf("%+v", j.done)
			}
			if cut < cuts-2 {
				t.Errorf("%d cuts", cut)
			}
			t.Logf("%d cuts: got %d, lost %d", cut, j.got, j.lost)
		})
	}
}

// TestClientReconnectsAfterResets: the Go client reads and writes through a proxy that resets
// the connection repeatedly.
func TestClientReconnectsAfterResets(t *testing.T) {
	runParallel(t)
	t.Run("WriteBytes", func(t *testing.T) {
		reconnectAfterResets(t, func(ctx context.Context, x *client.Session) func([]byte, bool) error {
			return func(data []byte, eof bool) error { return x.WriteBytes(ctx, data, eof) }
		})
	})
	t.Run("StdinWriter", func(t *testing.T) {
		reconnectAfterResets(t, func(ctx context.Context, x *client.Session) func([]byte, bool) error {
			w := x.StdinWriter(ctx)
			return func(data []byte, eof bool) error {
				_, err := w.Write(data)
				if err == nil && eof {
					err = w.Close()
				}
				return err
			}
		})
	})
}

// reconnectAfterResets writes with what writer returns.
func reconnectAfterResets(t *testing.T, writer func(context.Context, *client.Session) func(data []byte, eof bool) error) {
	s := serve(t)
	proxied := newProxy(t, s.address)
	size := volume() / 2 // so that it takes several resets
	file := filepath.Join(t.TempDir(), "file")
	writeNumbers(t, file, size)
	input, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	drops := 0
	ctx, cancel := context.WithTimeout(t.Context(), 3*testTimeout)
	defer cancel()
	c, err := client.Dial(ctx, s.at(proxied.address()), client.Options{TLS: s.secure, Reconnect: &client.Reconnect{
		MinDelay: time.Millisecond,
		Dropped:  func(error) { drops++ },
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The output is the input, and no more is in transit than fits into the log.
	x, err := c.Execute(ctx, rpc.ExecuteParams{
		Command: rpc.Command{Argv: []string{"cat"}}, Stdin: "pipe", Mode: "raw", OnDisconnect: "keep",
	}, client.Events{Readers: true, Gap: func(g rpc.Gap) { t.Errorf("%+v", g) }})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() { proxied.resetRepeatedly(stop) })
	credit := make(chan struct{}, 8) // pieces in transit
	all.Go(func() { writePieces(t, writer(ctx, x), input, credit) })
	got := readPieces(t, x, input, credit)
	rec, err := x.Wait(ctx)
	close(stop)
	all.Wait()
	if err != nil || got != len(input) || *rec.ExitCode != 0 {
		t.Errorf("%d of %d bytes; %+v, %v", got, len(input), rec, err)
	}
	_ = c.Close()
	if drops < 5 {
		t.Errorf("%d drops", drops)
	}
	t.Logf("%d drops", drops)
}

// resetRepeatedly resets all connections every 30 ms until stop is closed.
func (c *proxy) resetRepeatedly(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(30 * time.Millisecond):
			c.resetAll()
		}
	}
}

// pieceBytes is the size of what writePieces writes and readPieces reads at a time.
const pieceBytes = 32 << 10

// writePieces writes input. For each piece it puts a token into credit, which readPieces
// takes.
func writePieces(t *testing.T, write func(data []byte, eof bool) error, input []byte, credit chan<- struct{}) {
	for rest := input; ; {
		n := min(pieceBytes, len(rest))
		credit <- struct{}{}
		if err := write(rest[:n], n == len(rest)); err != nil {
			t.Errorf("write: %v", err)
			return
		}
		if rest = rest[n:]; len(rest) == 0 {
			return
		}
	}
}

// readPieces reads stdout to its end, checks that it is a part of want, and returns its length.
func readPieces(t *testing.T, x *client.Session, want []byte, credit <-chan struct{}) (got int) {
	buf := make([]byte, pieceBytes)
	for {
		n, err := io.ReadFull(x.Reader("stdout"), buf)
		if !bytes.Equal(buf[:n], want[got:min(got+n, len(want))]) {
			t.Fatalf("other bytes after %d", got)
		}
		got += n
		select {
		case <-credit:
		default:
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("read: %v", err)
			}
			return got
		}
	}
}

// TestManyMegabytesOfStdin: written in order and in bounded memory.
func TestManyMegabytesOfStdin(t *testing.T) {
	s := serve(t)
	size := rounds(30, 100) << 20
	if raceEnabled {
		size = 3 << 20
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*testTimeout)
	defer cancel()
	c, err := client.Dial(ctx, s.url(), client.Options{TLS: s.secure})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	x, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"sha256sum"}}, Stdin: "pipe"}, client.Events{Readers: true})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	r := rand.NewChaCha8([32]byte{1})
	flat(t, 16<<20, func() {
		block := make([]byte, 128<<10)
		for sent := 0; sent < size; sent += len(block) {
			_, _ = r.Read(block)
			for i := range block { // text, or it would go as base64
				block[i] &= 0x7f
			}
			sum.Write(block)
			if err := x.WriteBytes(ctx, block, sent+len(block) >= size); err != nil {
				t.Fatal(err)
			}
		}
	})
	out, err := io.ReadAll(x.Reader("stdout"))
	if want := fmt.Sprintf("%x  -\n", sum.Sum(nil)); err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
	var e *rpc.Error
	if err := x.WriteBytes(ctx, []byte("x"), false); !errors.As(err, &e) || e.Code != rpc.CodeStdinClosed {
		t.Errorf("a write after eof: %v", err)
	}
}

// TestAckOfSessionNotRetained: a connection still gets the rest of such a session.
func TestAckOfSessionNotRetained(t *testing.T) {
	s := serve(t, func(set *settings) { set.Session.MaxRetained, set.NoSpool = -1, true })
	p := s.dial(t)
	id := uuid.NewString()
	p.good(p.call("execute", object{"command": "yes | head -c 5000", "session_id": id, "window": 1000}))
	s.idle()
	p.fails(-32002, "status", object{"session_id": id})
	x := &transcript{id: id}
	for x.record == nil {
		m := p.next("an event", func(m *message) bool { return m.session == id && m.Method != "" })
		if err := x.take(m); err != nil {
			t.Fatal(err)
		}
		p.send(`{"jsonrpc":"2.0","method":"ack","params":{"session_id":%q,"seq":%d}}`, id, x.seq)
	}
	if len(x.stdout()) != 5000 {
		t.Errorf("%d bytes", len(x.stdout()))
	}
	p.fails(-32002, "ack", object{"session_id": id, "seq": 1})
}
