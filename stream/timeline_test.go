package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPositionAt checks that no output after a time is before its position, and that the position is near.
func TestPositionAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLog(LogOptions{Bound: 1000, Timeline: true})
		if l.PositionAt(time.Now()) != 0 {
			t.Error("a position without output")
		}
		l.AppendEvent(func(int64, Counts) any { return 0 })
		var at []time.Time // of each byte, which is at its index + 1
		output := func(n int, wait time.Duration) {
			for range n {
				l.Append(Piece{Kind: Stdout, Data: []byte("x")})
				at = append(at, time.Now())
				time.Sleep(wait)
			}
		}
		check := func(l *Log, most time.Duration) {
			t.Helper()
			for i, when := range at {
				for _, asked := range []time.Time{when.Add(-time.Nanosecond), when, when.Add(time.Millisecond)} {
					seq := l.PositionAt(asked)
					if n := seq - 1; n >= 0 && n < int64(len(at)) && n > 0 && at[n-1].After(asked) {
						t.Fatalf("byte %d: position %d is after output that was appended later", i, seq)
					}
					if n := max(seq-1, 0); n < int64(len(at)) && asked.Sub(at[n]) > most {
						t.Fatalf("byte %d: position %d is %v before", i, seq, asked.Sub(at[n]))
					}
				}
			}
		}
		output(3, time.Millisecond)
		output(1, time.Hour)
		output(1, time.Hour)
		check(l, time.Second)
		output(1000, 10*time.Millisecond)
		check(l, time.Second)
		output(3000, time.Second)
		check(l, time.Minute)
		if n := len(l.Timeline()); n > maxTimeMarks+1 {
			t.Errorf("%d marks", n)
		}
		check(OpenLog(LogOptions{Bound: 1000}, l.State()), time.Minute)
		if seq := l.PositionAt(time.Now()); seq != int64(len(at))+1 {
			t.Errorf("position %d after the newest output", seq)
		}
	})
}
