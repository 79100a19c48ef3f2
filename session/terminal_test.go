//go:build linux

package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

func onTerminal(spec *Spec) {
	spec.Program.Terminal = &process.Terminal{Rows: 24, Cols: 80}
	spec.Output.Raw = true
}

func shown(s *Session) string {
	b, _ := s.log.Tail(stream.PTY, 1<<30)
	return string(b)
}

func TestTerminalHasOneStream(t *testing.T) {
	s := run(t, "echo out; echo err >&2", onTerminal)
	rec := ended(t, s)
	if shown(s) != "out\r\nerr\r\n" || tail(s) != "" {
		t.Errorf("%q, stdout %q", shown(s), tail(s))
	}
	if w := rec.Counts.Written; w[stream.PTY] != 10 || w[stream.Stdout] != 0 || w[stream.Stderr] != 0 || rec.Cause != Exited {
		t.Errorf("%+v", rec)
	}
}

func TestTheLastOutputOfATerminalIsRead(t *testing.T) {
	r := registry(t, Options{})
	for i := range 200 {
		spec := sh(fmt.Sprint(i), "echo hi")
		onTerminal(&spec)
		s := start(t, r, spec)
		if ended(t, s); shown(s) != "hi\r\n" {
			t.Fatalf("run %d: %q", i, shown(s))
		}
	}
}

func TestResize(t *testing.T) {
	s := run(t, `trap "stty size" WINCH; echo ready; while :; do read x && exit; done`, onTerminal)
	f := follow(t, s, stream.CursorOptions{Block: true})
	f.line(0)
	if err := s.Resize(50, 132); err != nil {
		t.Fatal(err)
	}
	if got := f.line(1); got != "50 132\r" {
		t.Errorf("%q", got)
	}
	if err := s.Resize(50, 132); err != nil { // changes nothing
		t.Fatal(err)
	}
	all := s.Sizes()
	stored := sizes(storeSizes(all))
	if !slices.EqualFunc(stored, all, func(a, b Size) bool {
		return a.Time.Equal(b.Time) && a.Seq == b.Seq && a.Rows == b.Rows && a.Cols == b.Cols
	}) {
		t.Errorf("from the disk: %+v, want %+v", stored, all)
	}
	for i := range all {
		if i > 0 && all[i].Time.Before(all[i-1].Time) {
			t.Errorf("%+v", all)
		}
		all[i].Time = time.Time{}
	}
	if want := []Size{{Seq: 1, Rows: 24, Cols: 80}, {Seq: 8, Rows: 50, Cols: 132}}; !slices.Equal(all, want) {
		t.Errorf("sizes %+v, want %+v", all, want)
	}
	_ = s.Write([]byte("\n"), nil, nil, false)
	ended(t, s)
	var state *StateError
	if err := s.Resize(1, 1); !errors.As(err, &state) {
		t.Errorf("after the end: %v", err)
	}
	if err := run(t, "exec sleep 60", nil).Resize(1, 1); err != process.ErrNoTerminal {
		t.Errorf("without a terminal: %v", err)
	}
}

// TestEOFIsAKey checks that on a terminal eof ends a read, not the input, and that a retry does not
// type it again.
func TestEOFIsAKey(t *testing.T) {
	s := run(t, `stty -echo; echo ready; for i in 1 2 3 4 5; do cat; echo end $i; done`, onTerminal)
	f := follow(t, s, stream.CursorOptions{Block: true})
	f.line(0)
	write := func(want int64, text string, offset int64, eof bool) {
		t.Helper()
		at := &Offset{At: offset}
		if offset < 0 {
			at = nil
		}
		w := s.Write([]byte(text), nil, at, eof)
		within(t, "the write", w.Done)
		if w.Err != nil || w.Total != want {
			t.Errorf("%q at %d: %d, %v", text, offset, w.Total, w.Err)
		}
	}
	write(2, "a\n", 0, true)
	write(2, "a\n", 0, true) // a retry
	write(2, "", 2, true)    // a retry of a part
	if f.line(2) != "end 1\r" {
		t.Errorf("%q", f.output())
	}
	write(4, "b\n", 2, false)
	write(4, "a\n", 0, true) // a late retry, after more input
	if f.line(3) != "b\r" {
		t.Errorf("%q", f.output())
	}
	write(4, "", 4, true)
	write(4, "", 4, true)
	f.line(4)
	write(4, "", -1, true) // without an offset it is not a retry
	f.line(5)
	write(6, "c\n", -1, true)
	f.line(7)
	write(8, "d\n", 6, true)
	rec := ended(t, s)
	f.whole()
	want := "ready\r\na\r\nend 1\r\nb\r\nend 2\r\nend 3\r\nc\r\nend 4\r\nd\r\nend 5\r\n"
	if f.output() != want || rec.Exit.Code != 0 || s.View().StdinBytes != 8 {
		t.Errorf("%q, %+v", f.output(), rec)
	}
	w := s.Write([]byte("x"), nil, nil, false)
	within(t, "the write", w.Done)
	var closed *StdinError
	if !errors.As(w.Err, &closed) {
		t.Errorf("after the end: %v", w.Err)
	}
}

// TestTerminalInputIsBounded checks that input that is not read fills the queue.
func TestTerminalInputIsBounded(t *testing.T) {
	s := run(t, `stty raw -echo; echo ready; exec sleep 60`, onTerminal)
	follow(t, s, stream.CursorOptions{Block: true}).until("ready", func() bool { return strings.Contains(shown(s), "ready") })
	w := s.Write(make([]byte, StdinQueueBytes), nil, nil, false)
	within(t, "the write", w.Done)
	w = s.Write(make([]byte, StdinQueueBytes/2), nil, nil, true)
	select {
	case <-w.Done:
		t.Error("a write beyond the bound was accepted")
	case <-time.After(100 * time.Millisecond):
	}
	s.End(Canceled, nil)
	within(t, "the refusal", w.Done)
	ended(t, s)
}
