package server

import (
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// afterSince returns the position after which the events begin that a client asks for by after_seq and since:
// the later one.
func afterSince(s *session.Session, after int64, since rpc.Seconds) int64 {
	if !since.Set || since.Null {
		return after
	}
	return max(after, s.Log().PositionAt(time.Now().Add(-since.D)))
}
