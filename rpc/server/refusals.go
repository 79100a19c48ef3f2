package server

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// refusalPause is the shortest time between two log lines about refusals for the same reason.
const refusalPause = time.Second

// refusals logs refused connections at a bounded rate: the first one for a reason at once, and then
// one line per second with the number of further ones. Its methods may be called concurrently.
type refusals struct {
	log zerolog.Logger

	mu     sync.Mutex
	kinds  map[string]*refusal // by reason: those logged less than refusalPause ago
	closed bool
}

// refusal counts the refusals for one reason.
type refusal struct {
	timer  *time.Timer
	count  int    // since the last log line
	remote string // address of the newest one
	status int
}

func newRefusals(log zerolog.Logger) *refusals {
	return &refusals{log: log, kinds: make(map[string]*refusal)}
}

// add counts a refusal. why is one of a few texts; status is the HTTP status, 0 for none.
func (r *refusals) add(why, remote string, status int) {
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
func (r *refusals) report(why string) {
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

func (r *refusals) line(why, remote string, status, n int) {
	e := r.log.Info().Str("remote", remote).Str("why", why)
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
	kinds := make([]string, 0, len(r.kinds))
	for why, k := range r.kinds {
		k.timer.Stop()
		kinds = append(kinds, why)
	}
	r.mu.Unlock()
	for _, why := range kinds {
		r.report(why)
	}
}
