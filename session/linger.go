package session

import (
	"sync"

	"github.com/runnel-rpc/runnel/stream"
)

// Hold keeps the session from lingering until release is called: Spec.Linger limits the time
// without a hold. Each attachment is a hold too.
func (s *Session) Hold() (release func()) {
	s.update(s.hold)
	return sync.OnceFunc(func() { s.update(s.release) })
}

func (s *Session) hold(st *sessionStatus) {
	st.holds++
	st.stopLinger()
}

func (s *Session) release(st *sessionStatus) {
	st.holds--
	s.startLinger(st)
}

// startLinger starts the linger deadline of a live or queued session without holds.
func (s *Session) startLinger(st *sessionStatus) {
	if st.holds > 0 || s.spec.Linger <= 0 || !st.state.Live() && st.state != Queued {
		return
	}
	// The idle deadline does not count time in which the server is suspended and accepts no
	// connection.
	var linger *stream.Deadline
	linger = stream.NewIdleDeadline(s.spec.Linger, nil, func() {
		hasExited := s.hasExited()
		s.update(func(st *sessionStatus) {
			if st.linger == linger { // else there was a hold meanwhile
				s.requestEnd(st, Disconnected, s.spec.Grace, hasExited)
			}
		})
	})
	st.linger = linger
}

func (st *sessionStatus) stopLinger() {
	if st.linger != nil {
		st.linger.Stop()
		st.linger = nil
	}
}
