package window_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, files disk.Files, path string, blocks int) (*window.Window, []*window.Recovered) {
	t.Helper()
	w, recovered, err := window.Open(files, path, blocks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, recovered
}

// crash opens a copy of the file as it is now.
func crash(t testing.TB, path string) (*window.Window, map[int64]*window.Recovered) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.WriteFile(copied, b, 0o600))
	w, all := open(t, disk.OS{}, copied, 1000)
	byKey := map[int64]*window.Recovered{}
	for _, r := range all {
		byKey[r.Key] = r
	}
	return w, byKey
}

// session adds items to a part and knows what was added.
type session struct {
	part   *window.Part
	key    int64
	end    int64
	events int64
	log    []byte // the output, and a zero byte for each event, from 0 on
}

func newSession(w *window.Window, key int64) *session {
	return &session{part: w.Session(key, stream.Mark{}), key: key}
}

func (s *session) output(t testing.TB, kind stream.Kind, data string) {
	t.Helper()
	must(t, s.part.Add(&stream.Item{From: s.end, To: s.end + int64(len(data)), Kind: kind, Data: []byte(data)}, nil))
	s.end += int64(len(data))
	s.log = append(s.log, data...)
}

func (s *session) event(t testing.TB, text string) {
	t.Helper()
	must(t, s.part.Add(&stream.Item{From: s.end, To: s.end + 1}, []byte(text)))
	s.end++
	s.events++
	s.log = append(s.log, 0)
}

// skip continues the part n bytes later.
func (s *session) skip(n int) {
	s.end += int64(n)
	s.log = append(s.log, make([]byte, n)...)
	s.events += int64(n)
	s.part.Skip(stream.Mark{Seq: s.end, Events: s.events})
}

// verify checks what was recovered from a position on, without gaps, up to an end.
func (s *session) verify(t testing.TB, r *window.Recovered, from, to int64) {
	t.Helper()
	if r == nil {
		if from < to {
			t.Errorf("session %d: nothing recovered from %d to %d", s.key, from, to)
		}
		return
	}
	at := int64(-1)
	must(t, r.Read(from, nil, func(first stream.Mark, items []stream.Item) error {
		if at >= 0 && first.Seq != at || at < 0 && first.Seq > from {
			t.Errorf("session %d: a gap before %d", s.key, first.Seq)
		}
		events := int64(bytes.Count(s.log[:first.Seq], []byte{0}))
		if events != first.Events {
			t.Errorf("session %d: %d events before %d instead of %d", s.key, first.Events, first.Seq, events)
		}
		at = first.Seq
		for _, it := range items {
			got := it.Data
			if it.Kind == stream.Event {
				got = []byte{0}
			}
			if it.From != at || it.To != at+int64(len(got)) || it.To > to || !bytes.Equal(got, s.log[it.From:it.To]) {
				return fmt.Errorf("the item from %d to %d at %d is not what was added", it.From, it.To, at)
			}
			at = it.To
		}
		return nil
	}))
	if from < to && (at != to || r.End.Seq != to) {
		t.Errorf("session %d: recovered up to %d, end %v, want %d", s.key, at, r.End, to)
	}
}

func TestRecover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, recovered := open(t, disk.OS{}, path, 100)
	if len(recovered) != 0 || w.Free() != 100 {
		t.Errorf("%d sessions recovered, %d blocks free", len(recovered), w.Free())
	}
	a, b := newSession(w, 1), newSession(w, 2)
	a.event(t, `{"started":1}`)
	a.output(t, stream.Stdout, "hello\n")
	b.output(t, stream.PTY, strings.Repeat("long\n", 50_000))
	a.output(t, stream.Stderr, "world")
	must(t, a.part.Flush())
	must(t, b.part.Flush())
	must(t, w.Sync())
	_, all := crash(t, path)
	a.verify(t, all[1], 0, a.end)
	b.verify(t, all[2], 0, b.end)
	if all[1].First != (stream.Mark{}) || all[1].End != (stream.Mark{Seq: 12, Events: 1}) {
		t.Errorf("recovered %v to %v", all[1].First, all[1].End)
	}
	b.verify(t, all[2], 100_000, b.end)
}

func TestFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	p := w.Session(5, stream.Mark{Seq: 10, Events: 2})
	text := strings.Repeat("é", 40_000)
	must(t, p.Add(&stream.Item{From: 10, To: 11}, []byte("event")))
	must(t, p.Add(&stream.Item{From: 11, To: 80_011, Kind: stream.Stderr, Data: []byte(text), Truncated: true, Dropped: 99}, nil))
	must(t, p.Flush())
	if p.End() != (stream.Mark{Seq: 80_011, Events: 3}) || p.Blocks() != 2 {
		t.Errorf("end %v, %d blocks", p.End(), p.Blocks())
	}
	var items []stream.Item
	decode := func(b []byte) (any, error) { return "decoded " + string(b), nil }
	_, all := crash(t, path)
	must(t, all[5].Read(0, decode, func(_ stream.Mark, part []stream.Item) error {
		for _, it := range part {
			it.Data = bytes.Clone(it.Data)
			items = append(items, it)
		}
		return nil
	}))
	if len(items) != 3 || items[0].Event != "decoded event" {
		t.Fatalf("%d items", len(items))
	}
	first, second := items[1], items[2]
	if first.Dropped != 99 || first.Truncated || second.Dropped != 0 || !second.Truncated || first.Kind != stream.Stderr || second.Kind != stream.Stderr {
		t.Errorf("dropped %d and %d, truncated %v and %v", first.Dropped, second.Dropped, first.Truncated, second.Truncated)
	}
	if string(first.Data)+string(second.Data) != text || !utf8.Valid(first.Data) || !utf8.Valid(second.Data) {
		t.Error("the output has changed, or was cut in a character")
	}
	failing := func([]byte) (any, error) { return nil, syscall.EBADMSG }
	if err := all[5].Read(0, failing, func(stream.Mark, []stream.Item) error { return nil }); !errors.Is(err, syscall.EBADMSG) {
		t.Errorf("decode fails: %v", err)
	}
}

func TestCutAfterLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	s := newSession(w, 1)
	s.output(t, stream.Stdout, strings.Repeat(strings.Repeat("x", 999)+"\n", 100))
	must(t, s.part.Flush())
	_, all := crash(t, path)
	must(t, all[1].Read(0, nil, func(_ stream.Mark, items []stream.Item) error {
		for _, it := range items {
			if !bytes.HasSuffix(it.Data, []byte("\n")) {
				t.Errorf("%d bytes do not end with a line", len(it.Data))
			}
		}
		return nil
	}))
}

func TestRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	s := newSession(w, 1)
	for range 5 {
		s.output(t, stream.Stdout, strings.Repeat("x", 60_000))
	}
	must(t, s.part.Flush())
	if s.part.Blocks() != 5 || w.Free() != 5 {
		t.Fatalf("%d blocks, %d free", s.part.Blocks(), w.Free())
	}
	s.part.ReleaseBefore(window.BlockBytes - 200) // not all of the first block
	if s.part.Blocks() != 5 {
		t.Errorf("%d blocks", s.part.Blocks())
	}
	s.part.ReleaseBefore(140_000)
	if s.part.Blocks() != 3 || w.Free() != 7 {
		t.Errorf("%d blocks, %d free", s.part.Blocks(), w.Free())
	}
	_, all := crash(t, path)
	s.verify(t, all[1], 140_000, s.end)
	// Released blocks are reused first: the file does not grow.
	before, _ := os.Stat(path)
	s.output(t, stream.Stdout, strings.Repeat("y", 120_000))
	must(t, s.part.Flush())
	if after, _ := os.Stat(path); (after.Size()-1)/window.BlockBytes != (before.Size()-1)/window.BlockBytes {
		t.Errorf("the file has grown from %d to %d bytes", before.Size(), after.Size())
	}
	s.part.ReleaseBefore(s.end)
	if s.part.Blocks() != 0 || w.Free() != 10 {
		t.Errorf("%d blocks, %d free", s.part.Blocks(), w.Free())
	}
	from := s.end
	s.output(t, stream.Stdout, "more")
	must(t, s.part.Flush())
	_, all = crash(t, path)
	s.verify(t, all[1], from, s.end)
}

func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	a, b := newSession(w, 1), newSession(w, 2)
	for range 3 {
		a.output(t, stream.Stdout, strings.Repeat("a", 60_000))
		b.output(t, stream.Stdout, strings.Repeat("b", 60_000))
	}
	must(t, a.part.Flush())
	must(t, b.part.Flush())
	a.part.ReleaseBefore(130_000) // released blocks must not come back either
	must(t, a.part.Close())
	must(t, a.part.Close())
	if w.Free() != 7 {
		t.Errorf("%d blocks free", w.Free())
	}
	if err := a.part.Add(&stream.Item{From: a.end, To: a.end + 1}, nil); !errors.Is(err, window.ErrClosed) {
		t.Errorf("add: %v", err)
	}
	if err := a.part.Flush(); !errors.Is(err, window.ErrClosed) {
		t.Errorf("flush: %v", err)
	}
	_, all := crash(t, path)
	if all[1] != nil {
		t.Error("a closed part was recovered")
	}
	b.verify(t, all[2], 0, b.end)
}

func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 3)
	s := newSession(w, 1)
	s.output(t, stream.Stdout, strings.Repeat("x", 120_000))
	over := stream.Item{From: s.end, To: s.end + 400_000, Kind: stream.Stdout, Data: make([]byte, 400_000)}
	if err := s.part.Add(&over, nil); !errors.Is(err, window.ErrFull) || s.part.End().Seq != s.end {
		t.Errorf("%v, end %v", err, s.part.End())
	}
	s.output(t, stream.Stdout, strings.Repeat("y", 60_000))
	must(t, s.part.Flush())
	_, all := crash(t, path)
	s.verify(t, all[1], 0, s.end)
	s.part.ReleaseBefore(100_000)
	s.output(t, stream.Stdout, strings.Repeat("z", 60_000))
	must(t, s.part.Flush())
}

func TestAddRefuses(t *testing.T) {
	w, _ := open(t, disk.OS{}, filepath.Join(t.TempDir(), "window"), 3)
	p := w.Session(1, stream.Mark{})
	for name, c := range map[string]struct {
		it    stream.Item
		event []byte
		err   error
	}{
		"elsewhere":    {stream.Item{From: 1, To: 2}, nil, window.ErrItem},
		"gap":          {stream.Item{From: 0, To: 2, Gap: true}, nil, window.ErrItem},
		"wrong length": {stream.Item{From: 0, To: 2, Kind: stream.PTY, Data: []byte("x")}, nil, window.ErrItem},
		"large event":  {stream.Item{From: 0, To: 1}, make([]byte, window.MaxEvent+1), window.ErrTooLarge},
		"event":        {stream.Item{From: 0, To: 1}, make([]byte, window.MaxEvent), nil},
	} {
		if name == "event" {
			continue
		}
		if err := p.Add(&c.it, c.event); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, p.Add(&stream.Item{From: 0, To: 1}, make([]byte, window.MaxEvent)))
	must(t, p.Flush())
	if p.Blocks() != 1 {
		t.Errorf("%d blocks", p.Blocks())
	}
}

func TestReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "window")
	w, _ := open(t, disk.OS{}, path, 10)
	old := newSession(w, 1)
	old.output(t, stream.Stdout, strings.Repeat("x", 300_000))
	must(t, old.part.Flush())
	must(t, w.Close())

	w, recovered := open(t, disk.OS{}, path, 8) // fewer than before
	if len(recovered) != 1 || w.Free() != 3 {
		t.Fatalf("%d sessions recovered, %d blocks free", len(recovered), w.Free())
	}
	s := newSession(w, 2) // before Reset
	s.output(t, stream.Stdout, strings.Repeat("y", 150_000))
	must(t, s.part.Flush())
	old.verify(t, recovered[0], 0, old.end)
	must(t, w.Reset())
	if w.Free() != 5 {
		t.Errorf("%d blocks free", w.Free())
	}
	s.output(t, stream.Stdout, strings.Repeat("z", 300_000))
	must(t, s.part.Flush())
	_, all := crash(t, path)
	if all[1] != nil {
		t.Error("recovered again after Reset")
	}
	s.verify(t, all[2], 0, s.end)
	must(t, w.Close())

	w, recovered = open(t, disk.OS{}, path, 2)
	if w.Free() != 0 || len(recovered) != 1 {
		t.Errorf("%d blocks free, %d sessions", w.Free(), len(recovered))
	}
	must(t, w.Reset())
	if info, _ := os.Stat(path); info.Size() > 2*window.BlockBytes || w.Free() != 2 {
		t.Errorf("%d bytes long, %d blocks free", info.Size(), w.Free())
	}
}

// TestRandom does everything in random order, and looks at copies of the file in between.
func TestRandom(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		path := filepath.Join(t.TempDir(), "window")
		w, _ := open(t, disk.OS{}, path, 60)
		sessions := map[int64]*session{}
		released := map[int64]int64{}
		for step := range 400 {
			key := r.Int64N(4) + 1
			s := sessions[key]
			if s == nil {
				s = newSession(w, key)
				sessions[key], released[key] = s, 0
			}
			switch n := r.IntN(20); {
			case n < 4:
				s.event(t, strings.Repeat("e", r.IntN(500)))
			case n < 14 && w.Free() > 8:
				s.output(t, stream.Kind(1+r.IntN(3)), strings.Repeat(string(rune('a'+step%26)), 1<<r.IntN(17)))
			case n < 19:
				released[key] += r.Int64N(s.end - released[key] + 1)
				s.part.ReleaseBefore(released[key])
			default:
				must(t, s.part.Close())
				delete(sessions, key)
			}
			if r.IntN(40) == 0 {
				checkCrash(t, path, sessions, released)
			}
		}
		for _, s := range sessions {
			must(t, s.part.Close())
		}
		if w.Free() != 60 {
			t.Errorf("seed %d: %d blocks free", seed, w.Free())
		}
		checkCrash(t, path, nil, nil)
	}
}

// checkCrash flushes all, and checks that a copy has what was not released, and no other session.
func checkCrash(t *testing.T, path string, sessions map[int64]*session, released map[int64]int64) {
	t.Helper()
	for _, s := range sessions {
		must(t, s.part.Flush())
	}
	_, all := crash(t, path)
	for key, s := range sessions {
		s.verify(t, all[key], released[key], s.end)
	}
	for key := range all {
		if sessions[key] == nil {
			t.Errorf("session %d was closed and is recovered", key)
		}
	}
}

// TestSteadyState checks that output and its release allocate nothing.
func TestSteadyState(t *testing.T) {
	w, _ := open(t, disk.OS{}, filepath.Join(t.TempDir(), "window"), 20)
	p := w.Session(1, stream.Mark{})
	data, at := make([]byte, 70_000), int64(0) // begins a block each time
	step := func() {
		it := stream.Item{From: at, To: at + int64(len(data)), Kind: stream.Stdout, Data: data}
		must(t, p.Add(&it, nil))
		must(t, p.Flush())
		at = it.To
		p.ReleaseBefore(at - 500_000)
	}
	for range 50 {
		step()
	}
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
