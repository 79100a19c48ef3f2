package stream

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// trackEntries returns the entries of a track, which must be valid.
func trackEntries(t testing.TB, track Track, withData bool) (all []TrackEntry) {
	t.Helper()
	r := track.Read(withData)
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		all = append(all, e)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return all
}

func recordingLog() *Log {
	l := NewLog(LogOptions{Bound: 1 << 20})
	l.Record(time.Now())
	return l
}

// TestRecordedTimes: the recording has the time and the position of each burst of output.
func TestRecordedTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := recordingLog()
		l.AppendEvent(func(int64, Counts) any { return "started" })
		for _, wait := range []time.Duration{0, 3 * time.Millisecond, 3 * time.Millisecond, 20 * time.Millisecond, time.Hour} {
			time.Sleep(wait)
			l.Append(Piece{Kind: PTY, Data: []byte("xy")})
		}
		r := l.Recording()
		want := []TrackEntry{{Time: 0, Seq: 1}, {Time: 26 * time.Millisecond, Seq: 7}, {Time: time.Hour + 26*time.Millisecond, Seq: 9}}
		if got := trackEntries(t, r.Output, false); fmt.Sprint(got) != fmt.Sprint(want) || r.Interval != minTrackInterval {
			t.Errorf("%v every %v, want %v", got, r.Interval, want)
		}
	})
}

// TestRecordingIsThinned: the times of output that never ends take a bounded space, and each output has a
// time that differs by less than the interval.
func TestRecordingIsThinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := recordingLog()
		var times []time.Duration // at which position i was appended
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 200_000 {
			time.Sleep(time.Duration(rnd.Int64N(int64(60 * time.Millisecond))))
			times = append(times, time.Since(l.Recording().Begin))
			l.Append(Piece{Kind: PTY, Data: []byte("x")})
		}
		r := l.Recording()
		if len(r.Output) > MaxOutputTrack || cap(r.Output) > MaxOutputTrack || len(r.Output) < MaxOutputTrack/8 {
			t.Errorf("%d bytes, of %d", len(r.Output), cap(r.Output))
		}
		all := trackEntries(t, r.Output, false)
		next := 0
		for seq, at := range times {
			for next+1 < len(all) && all[next+1].Seq <= int64(seq) {
				next++
			}
			if d := at - all[next].Time; d < -time.Microsecond || d >= r.Interval+time.Microsecond {
				t.Fatalf("the time of %d is %v, recorded %v with interval %v", seq, at, all[next].Time, r.Interval)
			}
		}
		if r.Interval > 320*time.Millisecond {
			t.Errorf("interval %v", r.Interval)
		}
	})
}

// TestRecordedInput: input is kept with its order and differing times, up to a bound.
func TestRecordedInput(t *testing.T) {
	l := recordingLog()
	at, seq := l.Now()
	l.RecordInput(at, seq, []byte("one"))
	l.RecordInput(at, seq, []byte("two"))
	got := trackEntries(t, l.Recording().Input, true)
	if len(got) != 2 || string(got[0].Data) != "one" || string(got[1].Data) != "two" || got[0].Time >= got[1].Time {
		t.Errorf("%v", got)
	}
	part := bytes.Repeat([]byte("x"), 1000)
	for range 2 * MaxInputTrack / len(part) {
		l.RecordInput(at, seq, part)
	}
	r := l.Recording()
	if !r.InputCut || len(r.Input) > MaxInputTrack || cap(r.Input) > MaxInputTrack || len(r.Input) < MaxInputTrack-2*len(part) {
		t.Errorf("%d bytes, cut %v", len(r.Input), r.InputCut)
	}
	l.RecordInput(at, seq, []byte("y")) // it would fit, but something is missing before
	if bytes.HasSuffix(l.Recording().Input, []byte("y")) {
		t.Error("input is recorded after what was cut")
	}
}

// TestRecordingIsCharged: a recording counts towards the budget, is not enlarged while that is exceeded, and
// is released.
func TestRecordingIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1<<20, func(*Account) {})
		account := b.Open("x")
		l := NewLog(LogOptions{Bound: 1 << 20, Account: account})
		l.Record(time.Now())
		for range 1000 {
			time.Sleep(time.Second)
			l.Append(Piece{Kind: PTY, Data: []byte("x")})
			l.Seal()
			l.RecordInput(time.Now(), 1, []byte("input"))
		}
		charged := func() int64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			n := l.end.charge - l.oldest.charge
			if r := l.recorder; r != nil {
				n += int64(cap(r.output.track) + cap(r.input.track))
			}
			return n
		}
		if used := account.Used(); used != charged() || l.Recording() == nil {
			t.Errorf("%d bytes are charged, not %d", used, charged())
		}
		const others = 2 << 20
		account.add(others) // by other logs
		before := cap(l.recorder.output.track) + cap(l.recorder.input.track)
		for range 10_000 {
			time.Sleep(time.Second)
			l.Append(Piece{Kind: PTY, Data: []byte("x")})
			l.RecordInput(time.Now(), 1, []byte("input"))
			if !account.Exceeded() {
				t.Fatal("the budget is not exceeded any more")
			}
		}
		r := l.Recording()
		if after := cap(r.Output) + cap(r.Input); after > before+minThinned || !r.InputCut || r.Interval == minTrackInterval {
			t.Errorf("it takes %d bytes, before %d; cut %v, interval %v", after, before, r.InputCut, r.Interval)
		}
		l.Evict()
		if used := account.Used() - others; used != charged() || l.Recording() != nil {
			t.Errorf("%d bytes are charged after the eviction, not %d", used, charged())
		}
	})
}

// TestRecordingIsRestored: a log that is opened has the recording of its state.
func TestRecordingIsRestored(t *testing.T) {
	l := recordingLog()
	l.Append(Piece{Kind: PTY, Data: []byte("x")})
	state := l.State()
	again := OpenLog(LogOptions{Bound: 1 << 20, Save: &SaveOptions{}}, state)
	if r := again.Recording(); r == nil || r != state.Recording || len(r.Output) == 0 {
		t.Errorf("%+v", r)
	}
	again.RecordInput(time.Now(), 0, []byte("x"))
	if len(again.Recording().Input) > 0 {
		t.Error("a log that was opened records")
	}
}

// FuzzTrack: reading any bytes ends, and what was read can be written and read again.
func FuzzTrack(f *testing.F) {
	w := trackWriter{withData: true}
	w.add(TrackEntry{Time: time.Second, Seq: 5, Data: []byte("data")})
	w.add(TrackEntry{Time: time.Hour, Seq: 1 << 40, Data: nil})
	f.Add([]byte(w.track), true)
	f.Add([]byte(w.track), false)
	f.Add([]byte{0x80}, false)
	f.Add(bytes.Repeat([]byte{0xff}, 40), true)
	f.Add([]byte{1, 1, 200}, true)
	f.Fuzz(func(t *testing.T, b []byte, withData bool) {
		again := trackWriter{withData: withData}
		var all []TrackEntry
		r := Track(b).Read(withData)
		for e, ok := r.Next(); ok; e, ok = r.Next() {
			if n := len(all); n > 0 && (e.Time < all[n-1].Time || e.Seq < all[n-1].Seq) || e.Time < 0 || e.Seq < 0 {
				t.Fatalf("%v after %v", e, all)
			}
			all = append(all, e)
			again.add(e)
		}
		if _, ok := r.Next(); ok {
			t.Error("it continues after its end")
		}
		if len(again.track) > len(b) {
			t.Errorf("%d bytes from %d", len(again.track), len(b))
		}
		if got := trackEntries(t, again.track, withData); fmt.Sprint(got) != fmt.Sprint(all) {
			t.Errorf("%v, not %v", got, all)
		}
	})
}
