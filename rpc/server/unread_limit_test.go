package server

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// far is a peer with a round trip, which reads at a rate.
type far struct {
	limit *unreadLimit
	rate  float64 // bytes per second
	trip  time.Duration
	read  time.Time // when it will have read all that was sent
}

// send sends n bytes, and lets the peer answer the ping after them, if there is one.
func (p *far) send(n int) {
	buf := p.limit.write(make([]byte, n), true)
	if now := time.Now(); p.read.Before(now) {
		p.read = now
	}
	p.read = p.read.Add(time.Duration(float64(n) / p.rate * 1e9))
	if ping := buf[n:]; len(ping) > 0 {
		time.AfterFunc(time.Until(p.read)+p.trip, func() { p.limit.answered(ping[2:]) })
	}
}

// flood sends for d as much as the limit permits, in frames of 64 KiB, and replies all the time if
// prompt is set. It returns the most that was unread in the second half of that time, and the rate.
func (p *far) flood(d time.Duration, prompt bool) (most int64, rate float64) {
	const size = 64 << 10
	begin, sent := time.Now(), 0
	for time.Since(begin) < d {
		if prompt {
			p.limit.reply()
		}
		if p.limit.wait() > 0 {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		p.send(size)
		sent += size
		if time.Since(begin) > d/2 {
			most = max(most, int64(time.Until(p.read).Seconds()*p.rate))
		}
		if ahead := time.Until(p.read); ahead > time.Second {
			return most, 0 // there is no limit
		}
	}
	return most, float64(sent) / time.Since(begin).Seconds()
}

// TestUnreadIsLimited: a slow peer with a short round trip has a fraction of a megabyte unread if
// it waits for replies, and else what it reads in bulkTime. The limit does not reduce the
// throughput of a peer with a long round trip.
func TestUnreadIsLimited(t *testing.T) {
	const frames = 128 << 10
	for name, c := range map[string]struct {
		rate   float64
		trip   time.Duration
		most   int64 // while it sends no requests
		prompt int64 // while it does
		time   time.Duration
	}{
		"near":   {90e6, 100 * time.Microsecond, maxBulk + frames, minUnread + frames, 3 * time.Second},
		"nearby": {20e6, time.Millisecond, 20e6*40/1000 + frames, minUnread + frames, 3 * time.Second},
		"far":    {50e6, 100 * time.Millisecond, 5e6 + 1<<20, 5e6 + 1<<20, 10 * time.Second}, // besides as much in transit
		"slow":   {1e6, time.Millisecond, minUnread + frames, minUnread + frames, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &far{limit: &unreadLimit{}, rate: c.rate, trip: c.trip}
				p.send(100)
				time.Sleep(time.Second) // the first answer measures the round trip
				for _, prompt := range []bool{false, true, false} {
					limit := c.most
					if prompt {
						limit = c.prompt
					}
					most, rate := p.flood(c.time, prompt)
					if most > limit || most < limit/2 {
						t.Errorf("prompt %v: at most %d bytes were unread, the limit is %d", prompt, most, limit)
					}
					if rate < 0.85*c.rate {
						t.Errorf("prompt %v: %.1f MB/s, want %.1f", prompt, rate/1e6, c.rate/1e6)
					}
				}
			})
		})
	}
}

// TestOutputWaitsOnlyForAPing: if a peer has been sent much without a ping, because it was fast,
// output does not wait before one is on its way.
func TestOutputWaitsOnlyForAPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &far{limit: &unreadLimit{}, rate: 1e6, trip: time.Millisecond}
		p.send(100)
		time.Sleep(time.Second)
		p.limit.write(make([]byte, 10<<20), false)
		if d := p.limit.wait(); d != 0 {
			t.Fatalf("output waits %v, and no ping is on its way", d)
		}
		if buf := p.limit.write(nil, true); len(buf) == 0 {
			t.Fatal("no ping follows")
		}
		if d := p.limit.wait(); d != pongTimeout {
			t.Fatalf("output waits %v for the answer", d)
		}
	})
}

// TestUnreadOfPeerWithoutPongs: output does not wait for a peer that has never answered a ping, and
// waits once for one that has ceased to answer.
func TestUnreadOfPeerWithoutPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unreadLimit{}
		first := u.write(make([]byte, 100), false)[100:]
		u.write(make([]byte, 10<<20), true)
		if d := u.wait(); d != 0 {
			t.Fatalf("output waits %v for a peer that has never answered", d)
		}
		time.Sleep(time.Millisecond)
		u.answered(first[2:])
		if d := u.wait(); d != pongTimeout {
			t.Fatalf("output waits %v", d)
		}
		time.Sleep(pongTimeout)
		for range 3 {
			if d := u.wait(); d != 0 {
				t.Fatalf("output waits %v again", d)
			}
			u.write(make([]byte, 1<<20), true)
			time.Sleep(time.Millisecond)
		}
	})
}

// TestUnsolicitedPongs: a pong that is not the answer to a ping changes nothing.
func TestUnsolicitedPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unreadLimit{}
		first := u.write(make([]byte, 100), false)[100:]
		time.Sleep(time.Millisecond)
		u.answered(first[2:])
		u.write(make([]byte, 1<<20), true)
		payload := func(at, when uint64) []byte {
			return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at), when)
		}
		for name, payload := range map[string][]byte{
			"empty": nil, "short": first[2:12], "long": append(first[2:], 0),
			"again": first[2:], "ahead": payload(1<<40, 0), "negative": payload(1<<63, 0),
			"future": payload(1<<20, uint64(time.Hour)),
		} {
			if u.answered(payload) {
				t.Errorf("%s: accepted", name)
			}
		}
		if u.wait() == 0 {
			t.Error("there is no limit any more")
		}
	})
}
