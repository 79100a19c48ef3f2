package server

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	// minUnread is how many bytes a slow peer may always have unread.
	minUnread = 256 << 10
	// maxUnread is how many bytes a slow peer with a long round trip may have unread.
	maxUnread = 16 << 20
	// pongTimeout is how long output waits for the answer to a ping; then it is sent without.
	pongTimeout = time.Second
	// pingPayloadBytes is the length of a ping's payload: a position, and when it was sent.
	pingPayloadBytes = 16
)

// unreadLimit bounds the bytes that are written to a slow peer and not read by it. The peer's
// kernel takes megabytes (tcp_rmem, tcp(7)) that are not visible on this side, and a reply waits
// for all of them. A ping is answered when the peer has read what was sent before it (RFC 6455
// §5.5.3), so pings among the output report how far the peer is.
//
// The limit is what the peer reads at its own rate in two round trips, so it does not reduce the
// throughput of a fast connection with a long round trip. A peer that answers no pings has no
// limit. The methods may be called concurrently.
type unreadLimit struct {
	mu        sync.Mutex
	epoch     time.Time
	sent      int64         // bytes written
	pinged    int64         // position of the newest ping
	read      int64         // position up to which the peer has read
	roundTrip time.Duration // the shortest time that an answer took; 0 is unknown
	rate      float64       // bytes per second that the peer reads if there are enough
	since     time.Time     // when the measurement of the rate began
	from      int64         // the position then
	limited   bool          // output has waited during the measurement, so the rate is the peer's own
	waiting   time.Time     // since when output has waited without an answer; zero if it does not wait
}

// wrote counts n bytes and returns the ping that is to follow them, or nil. The first ping measures
// the round trip while nothing is queued.
func (u *unreadLimit) wrote(n int, slow bool) (ping []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.epoch.IsZero() {
		u.epoch = time.Now()
	}
	u.sent += int64(n)
	if u.pinged > 0 && (!slow || u.sent-u.pinged < u.limit()/4) {
		return nil
	}
	u.pinged = u.sent
	payload := make([]byte, 0, pingPayloadBytes)
	payload = binary.BigEndian.AppendUint64(payload, uint64(u.sent))
	payload = binary.BigEndian.AppendUint64(payload, uint64(time.Since(u.epoch)))
	return frame(framePing, payload)
}

// answered gets the payload of a pong and reports whether it is a new answer.
func (u *unreadLimit) answered(payload []byte) bool {
	if len(payload) != pingPayloadBytes {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	at := int64(binary.BigEndian.Uint64(payload))
	took := time.Since(u.epoch) - time.Duration(binary.BigEndian.Uint64(payload[8:]))
	if at <= u.read || at > u.sent || took < 0 {
		return false
	}
	u.read, u.waiting = at, time.Time{}
	took = max(took, time.Microsecond)
	if u.roundTrip == 0 || took < u.roundTrip {
		u.roundTrip = took
	}
	now := time.Now()
	if measured := now.Sub(u.since); measured >= max(rateInterval, 2*u.roundTrip) {
		if u.limited {
			u.rate = float64(at-u.from) / measured.Seconds()
		}
		u.since, u.from, u.limited = now, at, false
	}
	return true
}

// wait returns how long output has to wait for an answer of a slow peer; 0 is not at all.
func (u *unreadLimit) wait() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.roundTrip == 0 || u.sent-u.read <= u.limit() {
		return 0
	}
	u.limited = true
	if u.rate >= slowRate { // it is not slow any more
		return 0
	}
	if u.waiting.IsZero() {
		u.waiting = time.Now()
	}
	return max(0, pongTimeout-time.Since(u.waiting))
}

// limit returns how many bytes the peer may have unread. It needs the lock.
func (u *unreadLimit) limit() int64 {
	return min(max(minUnread, int64(2*u.rate*u.roundTrip.Seconds())), maxUnread)
}
