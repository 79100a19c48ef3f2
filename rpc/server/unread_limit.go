package server

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	// minUnread is how many bytes a slow peer may always have unread.
	minUnread = 256 << 10
	// bulkTime bounds what a slow peer may have unread if it was sent no reply for promptTime: as
	// much as it reads in bulkTime, at most maxBulk bytes.
	bulkTime   = 40 * time.Millisecond
	maxBulk    = 2 << 20
	promptTime = 200 * time.Millisecond
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
// throughput of a fast connection with a long round trip. It is larger while no replies are sent,
// because each time that output continues costs as much processor time as 100 KiB of output:
// threads are woken, and caches are cold. A peer that answers no pings has no limit. The methods
// may be called concurrently.
type unreadLimit struct {
	mu        sync.Mutex
	epoch     time.Time
	replied   time.Time     // when the last reply was sent
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

// write counts the output in buf, which is about to be written, and appends the ping that is to
// follow it, if one is due. The first ping measures the round trip while nothing is queued.
func (u *unreadLimit) write(buf []byte, slow bool) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.epoch.IsZero() {
		u.epoch = time.Now()
	}
	u.sent += int64(len(buf))
	if u.pinged > 0 && (!slow || u.sent-u.pinged < u.pingDistance()) {
		return buf
	}
	u.pinged = u.sent
	return appendFrame(buf, framePing, pingPayloadBytes, func(b []byte) []byte {
		b = binary.BigEndian.AppendUint64(b, uint64(u.sent))
		return binary.BigEndian.AppendUint64(b, uint64(time.Since(u.epoch)))
	})
}

// answers reports whether the peer has answered a ping. If not, there is no limit.
func (u *unreadLimit) answers() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.roundTrip > 0
}

// reply is called when a reply is sent.
func (u *unreadLimit) reply() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.replied = time.Now()
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

// wait returns how long output has to wait for an answer of a slow peer; 0 is not at all. It does
// not wait if no ping is on its way: one then follows the next output.
func (u *unreadLimit) wait() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.roundTrip == 0 || u.pinged <= u.read || u.sent-u.read <= u.limit() {
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

// pingDistance returns how many bytes are between two pings: most of the limit, so that output
// continues seldom, but a quarter of it if the peer reads much of the limit in a round trip, so
// that output continues in time. It needs the lock.
func (u *unreadLimit) pingDistance() int64 {
	most := u.limit()
	if u.rate == 0 {
		return most / 4
	}
	inTransit := int64(u.rate * u.roundTrip.Seconds())
	return max(most/4, min(most/4*3, most-4*inTransit))
}

// limit returns how many bytes the peer may have unread. It needs the lock.
func (u *unreadLimit) limit() int64 {
	most := max(minUnread, int64(2*u.rate*u.roundTrip.Seconds()))
	if time.Since(u.replied) > promptTime {
		most = max(most, min(int64(u.rate*bulkTime.Seconds()), maxBulk))
	}
	return min(most, maxUnread)
}
