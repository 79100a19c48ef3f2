package server

import "time"

const (
	// slowPeer is the rate in bytes a second below which a peer that holds us up is paced.
	slowPeer = 256 << 20
	// paceWindow is the shortest time over which the rate is taken.
	paceWindow = 20 * time.Millisecond
	// unsentBytes is how much the kernel takes from us, for a paced peer, beyond what is on its way.
	unsentBytes = 32 << 10
)

// pacer bounds what the kernel holds unsent for a slow peer: by itself it takes some megabytes, and a reply
// waits behind all of them. A fast peer is left alone, for the bound costs throughput that it would feel.
// It looks only when a write has to wait, so it costs nothing while the peer keeps up.
type pacer struct {
	since time.Time
	bytes int64
	on    bool
}

func (p *pacer) wrote(n int) { p.bytes += int64(n) }

// blocked is told that a write on fd has to wait.
func (p *pacer) blocked(fd int) {
	if p.since.IsZero() { // what the kernel takes at first says nothing of the peer
		p.since, p.bytes = time.Now(), 0
		return
	}
	took := time.Since(p.since)
	if took < paceWindow {
		return
	}
	slow := float64(p.bytes) < slowPeer*took.Seconds()
	p.since, p.bytes = time.Now(), 0
	if slow != p.on {
		p.on = slow
		bound := unsentBytes
		if !slow {
			bound = 0 // the system's own
		}
		boundUnsent(fd, bound)
	}
}
