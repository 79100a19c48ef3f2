package server

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	// flightBytes is how much may always be on its way to a slow peer.
	flightBytes = 256 << 10
	// maxFlightBytes is how much may be on its way to a slow peer that is far away.
	maxFlightBytes = 16 << 20
	// flightPatience is how long output waits for a peer that answers no ping, before it goes on without.
	flightPatience = time.Second
	// markSize is the length of a ping's payload: a place, and when it was sent.
	markSize = 16
)

// flight bounds what is on its way to a slow peer: written by us, and not read by it. The peer's kernel takes
// megabytes (tcp_rmem, tcp(7)) that nothing on our side can see, and a reply waits behind all of them. But a
// ping is answered when the peer has read what came before it (RFC 6455 §5.5.3), so pings among the output
// tell how far it is.
//
// The bound is what a peer at its own pace takes in two round trips, so it is no bound on a fast line that is
// long. A peer that answers no pings is given output as fast as its kernel takes it. Its methods may be called
// concurrently.
type flight struct {
	mu      sync.Mutex
	epoch   time.Time
	sent    int64         // bytes written
	asked   int64         // where the newest ping is
	landed  int64         // up to where the peer has read
	trip    time.Duration // the shortest time that an answer took; 0 is unknown
	rate    float64       // at which the peer reads when there is enough, in bytes a second
	since   time.Time     // when the measuring of the rate began
	from    int64         // and where
	filled  bool          // output had to wait meanwhile, so the rate is the peer's own
	waiting time.Time     // since when output has waited without an answer; zero is not at all
}

// wrote counts n bytes and returns the ping that is to follow them, if it is time for one. The first one
// measures the way while nothing is queued on it.
func (f *flight) wrote(n int, slow bool) (ping []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch.IsZero() {
		f.epoch = time.Now()
	}
	f.sent += int64(n)
	if f.asked > 0 && (!slow || f.sent-f.asked < f.bound()/4) {
		return nil
	}
	f.asked = f.sent
	mark := make([]byte, 0, markSize)
	mark = binary.BigEndian.AppendUint64(mark, uint64(f.sent))
	mark = binary.BigEndian.AppendUint64(mark, uint64(time.Since(f.epoch)))
	return frame(framePing, mark)
}

// answered takes the payload of a pong, and reports whether it tells anything new.
func (f *flight) answered(mark []byte) bool {
	if len(mark) != markSize {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at, took := int64(binary.BigEndian.Uint64(mark)), time.Since(f.epoch)-time.Duration(binary.BigEndian.Uint64(mark[8:]))
	if at <= f.landed || at > f.sent || took < 0 {
		return false
	}
	f.landed, f.waiting = at, time.Time{}
	took = max(took, time.Microsecond)
	if f.trip == 0 || took < f.trip {
		f.trip = took
	}
	now := time.Now()
	if measured := now.Sub(f.since); measured >= max(paceWindow, 2*f.trip) {
		if f.filled {
			f.rate = float64(at-f.from) / measured.Seconds()
		}
		f.since, f.from, f.filled = now, at, false
	}
	return true
}

// full returns how long output has to wait for an answer of a slow peer; 0 is not at all.
func (f *flight) full() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trip == 0 || f.sent-f.landed <= f.bound() {
		return 0
	}
	f.filled = true
	if f.rate >= slowPeer { // it is no more
		return 0
	}
	if f.waiting.IsZero() {
		f.waiting = time.Now()
	}
	return max(0, flightPatience-time.Since(f.waiting))
}

// bound needs the lock.
func (f *flight) bound() int64 {
	return min(max(flightBytes, int64(2*f.rate*f.trip.Seconds())), maxFlightBytes)
}
