package server

import (
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// refusalPause is the shortest time between two log lines about refusals for the same reason.
const refusalPause = time.Second

// refusals logs refused connections at a bounded rate: the first one for a reason at once, and then
// one line per second with the number of further ones. It also counts them by peer. Its methods may
// be called concurrently.
type refusals struct {
	log   zerolog.Logger
	peers *refusedPeers

	mu     sync.Mutex
	kinds  map[refusalReason]*refusal // those logged less than refusalPause ago
	closed bool
}

// refusalReason is why connections are refused. There are only a few different ones.
type refusalReason struct{ why, detail string }

// refusal counts the refusals for one reason.
type refusal struct {
	timer  *time.Timer
	count  int    // since the last log line
	remote string // address of the newest one
	status int
}

// newRefusals returns a table. report is called once a second for each refused peer; it may be nil.
func newRefusals(log zerolog.Logger, report func(Refused)) *refusals {
	return &refusals{log: log, peers: newRefusedPeers(report), kinds: make(map[refusalReason]*refusal)}
}

// refuse counts a refusal of a peer. It returns false if the peer is refused more often than it may
// be answered with the reason.
func (r *refusals) refuse(peer refusedPeer, remote string, refusal *access.Refusal) (answer bool) {
	if peer.unix && peer.uid >= 0 || peer.forwarded.IsValid() {
		remote = peer.String()
	}
	r.count(refusalReason{refusal.Reason, refusal.Detail}, remote, refusal.Status)
	return r.peers.add(peer, refusal)
}

func (r *refusals) count(why refusalReason, remote string, status int) {
	r.mu.Lock()
	k := r.kinds[why]
	if first := k == nil; first && !r.closed {
		r.kinds[why] = &refusal{status: status, timer: time.AfterFunc(refusalPause, func() { r.report(why) })}
	} else if !first {
		k.count++
		k.remote = remote
	}
	r.mu.Unlock()
	if k == nil {
		r.line(why, remote, status, 1)
	}
}

// report logs the refusals for a reason since the last log line. If there are none, it stops the
// counting.
func (r *refusals) report(why refusalReason) {
	r.mu.Lock()
	k := r.kinds[why]
	if k == nil || k.count == 0 {
		delete(r.kinds, why)
		r.mu.Unlock()
		return
	}
	n, remote, status := k.count, k.remote, k.status
	k.count = 0
	if !r.closed {
		k.timer.Reset(refusalPause)
	}
	r.mu.Unlock()
	r.line(why, remote, status, n)
}

func (r *refusals) line(why refusalReason, remote string, status, n int) {
	e := r.log.Info().Str("remote", remote).Str("why", why.why)
	if why.detail != "" {
		e = e.Str("detail", why.detail)
	}
	if status != 0 {
		e = e.Int("status", status)
	}
	if n > 1 {
		e = e.Int("count", n)
	}
	e.Msg("refused")
}

// close logs the refusals that are not logged yet. No timer is started afterwards.
func (r *refusals) close() {
	r.mu.Lock()
	r.closed = true
	kinds := make([]refusalReason, 0, len(r.kinds))
	for why, k := range r.kinds {
		k.timer.Stop()
		kinds = append(kinds, why)
	}
	r.mu.Unlock()
	for _, why := range kinds {
		r.report(why)
	}
	r.peers.close()
}
