package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// fakeTarget is a target that blocks or fails as a test wants.
type fakeTarget struct {
	mu     sync.Mutex
	text   []byte
	err    error         // of each write
	room   int           // bytes that fit before err
	block  chan struct{} // a write waits until it is closed
	opened int
}

func (f *fakeTarget) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeTarget) write(lines []byte) (int, error) {
	f.mu.Lock()
	block := f.block
	f.mu.Unlock()
	if block != nil {
		<-block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.text = append(f.text, lines...)
		return len(lines), nil
	}
	n := bytes.LastIndexByte(lines[:min(f.room, len(lines))], '\n') + 1
	f.text, f.room = append(f.text, lines[:n]...), f.room-n
	return n, f.err
}

func (f *fakeTarget) reopen() error {
	f.set(func() { f.opened++ })
	return f.err
}

func (*fakeTarget) close() {}

// header is what each line begins with.
type header struct {
	V       int
	Time    time.Time
	Server  string
	Seq     uint64
	Event   string
	Count   int64
	First   uint64 `json:"first_seq"`
	Last    uint64 `json:"last_seq"`
	Session string `json:"session_id"`
}

func (f *fakeTarget) lines(t *testing.T) (all []header) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(string(f.text)) {
		var h header
		if err := json.Unmarshal([]byte(line), &h); err != nil || h.V != Version || h.Server == "" || h.Time.IsZero() {
			t.Fatalf("%v: %q", err, line)
		}
		all = append(all, h)
	}
	return all
}

// checkSequence checks that each sequence number is that of a line, or counted as lost.
func checkSequence(t *testing.T, lines []header, written uint64) (losses int64) {
	t.Helper()
	seen := make(map[uint64]bool)
	last := uint64(0)
	for _, h := range lines {
		if seen[h.Seq] || h.Seq < last {
			t.Fatalf("line %d follows line %d", h.Seq, last)
		}
		last = h.Seq
		seen[h.Seq] = true
		losses += h.Count
	}
	missing := int64(0)
	for seq := uint64(1); seq <= last; seq++ {
		if !seen[seq] {
			missing++
		}
	}
	if missing != losses {
		t.Errorf("%d lines are missing, %d are counted as lost", missing, losses)
	}
	if events := uint64(len(lines)) + uint64(losses); events < written {
		t.Errorf("%d lines and losses of %d", events, written)
	}
	return losses
}

func TestLinesAreWrittenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{}
		l := newLog(Options{}, f, MaxLineBytes)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 100 {
					l.Write(&Stop{})
				}
			})
		}
		all.Wait()
		l.Close()
		if n := checkSequence(t, f.lines(t), 800); n != 0 {
			t.Errorf("%d lines are lost", n)
		}
	})
}

// TestBlockedTarget: Write does not wait for a target that blocks. Lines that do not fit into the
// queue are counted, and requests that clients can send at any rate leave room for the others.
func TestBlockedTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fakeTarget{block: make(chan struct{})}
		l := newLog(Options{Log: zerolog.New(&log)}, f, MaxLineBytes)
		l.Write(&Stop{})
		time.Sleep(2 * batchDelay) // the writer is blocked
		reason := strings.Repeat("r", 200)
		for range 100_000 {
			l.Write(&Refusal{Reason: reason})
		}
		for range 1000 {
			l.Write(&End{Session: Session{ID: "kept"}})
		}
		close(f.block)
		synctest.Wait()
		l.Write(&Stop{})
		l.Close()
		lines := f.lines(t)
		if losses := checkSequence(t, lines, 101_002); losses == 0 || losses > 99_000 {
			t.Errorf("%d lines are lost", losses)
		}
		kept := 0
		for _, h := range lines {
			if h.Event == "end" {
				kept++
			}
		}
		if kept != 1000 {
			t.Errorf("%d of 1000 lines about the end of a session", kept)
		}
		if n := strings.Count(log.String(), "audit lines are lost"); n != 1 {
			t.Errorf("%d reports of losses: %s", n, log.String())
		}
	})
}

// TestFullQueue: no line is accepted beyond the bound.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{block: make(chan struct{})}
		l := newLog(Options{}, f, MaxLineBytes)
		l.Write(&Stop{})
		time.Sleep(2 * batchDelay)
		for range 100_000 {
			l.Write(&Start{Version: "v1"})
		}
		l.update(func(q *queue) {
			if n := len(q.pending) + q.taken; n > maxPending || n < maxPending/2 {
				t.Errorf("%d bytes are queued", n)
			}
		})
		close(f.block)
		l.Close()
		checkSequence(t, f.lines(t), 100_001)
	})
}

// TestFailingTarget: lines that were not written are written later, once each.
func TestFailingTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fakeTarget{err: errors.New("full"), room: 250}
		l := newLog(Options{Log: zerolog.New(&log)}, f, MaxLineBytes)
		for range 20 {
			l.Write(&Stop{})
		}
		time.Sleep(10 * retryDelay)
		f.set(func() { f.err = nil })
		time.Sleep(2 * retryDelay)
		l.Close()
		if losses := checkSequence(t, f.lines(t), 20); losses != 0 {
			t.Errorf("%d lines are lost", losses)
		}
		if s := log.String(); strings.Count(s, "cannot be written") != 1 || strings.Count(s, "written again") != 1 {
			t.Error(s)
		}
	})
}

// TestRequired: WriteRequired waits for its line, at most for requiredWait. Then it fails at once,
// until the target accepts lines again.
func TestRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{block: make(chan struct{})}
		l := newLog(Options{Required: true}, f, MaxLineBytes)
		defer l.Close()
		if l.Available() != nil {
			t.Error("not available at first")
		}
		begin := time.Now()
		if err := l.WriteRequired(&Stop{}); err != ErrUnavailable || time.Since(begin) != requiredWait {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if l.Available() == nil {
			t.Error("available while the target blocks")
		}
		close(f.block)
		synctest.Wait()
		if l.Available() != nil {
			t.Error("not available after the target accepted the line")
		}
		f.set(func() { f.block = nil })
		l.Write(&Stop{}) // waits for others, and does not delay the next
		begin = time.Now()
		if err := l.WriteRequired(&Stop{}); err != nil || len(f.lines(t)) != 3 || time.Since(begin) != 0 {
			t.Errorf("%v with %d lines after %v", err, len(f.lines(t)), time.Since(begin))
		}
		f.set(func() { f.err = errors.New("full") })
		if err := l.WriteRequired(&Stop{}); err != ErrUnavailable || l.Available() == nil {
			t.Errorf("%v while writes fail", err)
		}
		f.set(func() { f.err = nil })
		time.Sleep(2 * retryDelay)
		if err := l.WriteRequired(&Stop{}); err != nil || l.Available() != nil {
			t.Errorf("%v after the failure", err)
		}
		checkSequence(t, f.lines(t), 5)
	})
}

// TestClose: Close gives up a target that blocks, or that fails.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &fakeTarget{block: make(chan struct{})}
		l := newLog(Options{Log: zerolog.New(&log)}, f, MaxLineBytes)
		l.Write(&Stop{})
		begin := time.Now()
		l.Close()
		if time.Since(begin) != closeTimeout || !strings.Contains(log.String(), `"lines":1`) {
			t.Errorf("after %v: %s", time.Since(begin), log.String())
		}
		close(f.block)

		log.Reset()
		l = newLog(Options{Log: zerolog.New(&log)}, &fakeTarget{err: errors.New("full")}, MaxLineBytes)
		l.Write(&Stop{})
		l.Close()
		if !strings.Contains(log.String(), `"lines":1`) {
			t.Error(log.String())
		}
	})
}

func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTarget{}
		l := newLog(Options{}, f, MaxLineBytes)
		if err := l.Reopen(); err != nil || f.opened != 1 {
			t.Errorf("%v, opened %d times", err, f.opened)
		}
		f.set(func() { f.block = make(chan struct{}) })
		l.Write(&Stop{})
		time.Sleep(2 * batchDelay)
		begin := time.Now()
		if err := l.Reopen(); err != ErrUnavailable || time.Since(begin) != reopenTimeout {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		close(f.block)
		l.Close()
		if err := l.Reopen(); err != ErrUnavailable {
			t.Errorf("%v after Close", err)
		}
	})
}

func TestNilLog(t *testing.T) {
	var l *Log
	l.Write(&Stop{})
	l.Close()
	if err := errors.Join(l.WriteRequired(&Stop{}), l.Available(), l.Reopen()); err != nil {
		t.Error(err)
	}
}
