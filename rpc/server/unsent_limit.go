package server

import (
	"sync/atomic"
	"time"
)

const (
	// slowRate is the rate in bytes per second below which a peer that blocks a write is slow.
	slowRate = 256 << 20
	// rateInterval is the shortest time over which a rate is measured.
	rateInterval = 20 * time.Millisecond
	// unsentBytes is how much the kernel takes for a slow peer beyond what is in transit.
	unsentBytes = 32 << 10
)

// unsentLimit finds out whether a peer is slow, and bounds the unsent bytes that the kernel has for
// a slow peer to which unreadLimit does not apply. Without a bound it takes megabytes, and a reply
// waits for all of them. A fast peer has no bound, which would reduce its throughput. The rate is
// measured only when a write blocks, so this costs nothing while the peer keeps up.
type unsentLimit struct {
	since time.Time
	bytes int64
	slow  atomic.Bool

	paced   atomic.Bool // unreadLimit bounds what is sent to the peer, with what the kernel has
	bounded bool
}

func (p *unsentLimit) wrote(n int) { p.bytes += int64(n) }

// blocked is called when a write on fd blocks.
func (p *unsentLimit) blocked(fd int) {
	if p.since.IsZero() { // the kernel has filled its buffer at its own rate, not at the peer's
		p.since, p.bytes = time.Now(), 0
		return
	}
	took := time.Since(p.since)
	if took < rateInterval {
		return
	}
	slow := float64(p.bytes) < slowRate*took.Seconds()
	p.slow.Store(slow)
	p.since, p.bytes = time.Now(), 0
	if bounded := slow && !p.paced.Load(); bounded != p.bounded {
		p.bounded = bounded
		bound := unsentBytes
		if !bounded {
			bound = 0 // the default of the system
		}
		boundUnsent(fd, bound)
	}
}
