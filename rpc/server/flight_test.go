package server

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// far is a peer at the end of a line: it reads at a rate, and its answers take a while.
type far struct {
	flight *flight
	rate   float64 // bytes a second
	trip   time.Duration
	read   time.Time // when it has read all that it was sent
}

// send gives it n bytes and lets it answer the ping behind them, if there is one.
func (p *far) send(n int) {
	ping := p.flight.wrote(n, true)
	if now := time.Now(); p.read.Before(now) {
		p.read = now
	}
	p.read = p.read.Add(time.Duration(float64(n) / p.rate * 1e9))
	if ping != nil {
		time.AfterFunc(time.Until(p.read)+p.trip, func() { p.flight.answered(ping[2:]) })
	}
}

// flood sends for a while as much as may be sent, in frames of 64 KiB. It returns the most that was on its
// way when half of that time had passed, and the rate.
func (p *far) flood(d time.Duration) (most int64, rate float64) {
	const size = 64 << 10
	begin, sent := time.Now(), 0
	for time.Since(begin) < d {
		if p.flight.full() > 0 {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		p.send(size)
		sent += size
		if time.Since(begin) > d/2 {
			most = max(most, int64(time.Until(p.read).Seconds()*p.rate))
		}
		if ahead := time.Until(p.read); ahead > time.Second {
			return most, 0 // nothing holds it
		}
	}
	return most, float64(sent) / time.Since(begin).Seconds()
}

// TestFlightIsBounded: what waits at a slow peer is a fraction of a megabyte if it is near; and the bound does
// not cost throughput if it is far away.
func TestFlightIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		rate float64
		trip time.Duration
		most int64
	}{
		"near": {90e6, 100 * time.Microsecond, flightBytes + 128<<10},
		"far":  {50e6, 100 * time.Millisecond, 2*5e6 + 1<<20}, // twice what is on the line at a time
		"slow": {1e6, time.Millisecond, flightBytes + 128<<10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &far{flight: &flight{}, rate: c.rate, trip: c.trip}
				p.send(100)
				time.Sleep(time.Second) // the first answer measures the way
				most, rate := p.flood(10 * time.Second)
				if most > c.most {
					t.Errorf("%d bytes waited, more than %d", most, c.most)
				}
				if rate < 0.85*c.rate {
					t.Errorf("%.1f MB/s of %.1f", rate/1e6, c.rate/1e6)
				}
			})
		})
	}
}

// TestFlightOfThePeerThatDoesNotAnswer: one that has never answered is never waited for; one that answers no
// more is waited for once.
func TestFlightOfThePeerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flight{}
		first := f.wrote(100, false)
		f.wrote(10<<20, true)
		if d := f.full(); d != 0 {
			t.Fatalf("waits %v for a peer that has never answered", d)
		}
		time.Sleep(time.Millisecond)
		f.answered(first[2:])
		if d := f.full(); d != flightPatience {
			t.Fatalf("waits %v", d)
		}
		time.Sleep(flightPatience)
		for range 3 {
			if d := f.full(); d != 0 {
				t.Fatalf("waits %v more", d)
			}
			f.wrote(1<<20, true)
			time.Sleep(time.Millisecond)
		}
	})
}

// TestFlightTakesNoLies: a pong that answers nothing that was asked changes nothing.
func TestFlightTakesNoLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flight{}
		first := f.wrote(100, false)
		time.Sleep(time.Millisecond)
		f.answered(first[2:])
		f.wrote(1<<20, true)
		mark := func(at, when uint64) []byte {
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at), when)
		}
		for name, lie := range map[string][]byte{
			"empty": nil, "short": first[2:12], "long": append(first[2:], 0),
			"again": first[2:], "ahead": mark(1<<40, 0), "negative": mark(1<<63, 0),
			"tomorrow": mark(1<<20, uint64(time.Hour)),
		} {
			if f.answered(lie) {
				t.Error(name)
			}
		}
		if f.full() == 0 {
			t.Error("no bound any more")
		}
	})
}
