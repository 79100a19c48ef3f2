package session

import (
	"sync"

	"github.com/runnel-rpc/runnel/stream"
)

// Hold says that somebody is there for the session, who reads from it or waits for it, until release is
// called: linger, the longest time with nobody, does not count.
func (s *Session) Hold() (release func()) {
	s.update(s.hold)
	return sync.OnceFunc(func() { s.update(s.release) })
}

func (s *Session) hold(st *status) {
	st.holds++
	st.stopLinger()
}

func (s *Session) release(st *status) {
	st.holds--
	s.lingerIfAlone(st)
}

// lingerIfAlone starts linger for a session that runs and has nobody.
func (s *Session) lingerIfAlone(st *status) {
	if st.holds > 0 || s.spec.Linger <= 0 || !st.state.Live() {
		return
	}
	var alone *stream.Deadline // nobody can come while this process is suspended
	alone = stream.NewIdleDeadline(s.spec.Linger, nil, func() {
		over := s.isOver()
		s.update(func(st *status) {
			if st.linger == alone { // else somebody came meanwhile
				s.end(st, Disconnected, s.spec.Grace, over)
			}
		})
	})
	st.linger = alone
}

func (st *status) stopLinger() {
	if st.linger != nil {
		st.linger.Stop()
		st.linger = nil
	}
}
