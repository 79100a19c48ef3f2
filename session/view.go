package session

import (
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/stream"
)

// View is a session at one moment.
type View struct {
	State       State
	PID, PGID   int // 0 until the command runs
	Containment process.Containment
	Limits      []process.EnforcedLimit // the limits in force, and how each is enforced
	Sandbox     *sandbox.Report         // nil without one, and until the command runs
	Denied      *Denied                 // what its proxy has refused; nil if nothing was
	Started     time.Time               // when the start began; zero before, and in the queue
	StdinBytes  int64                   // bytes of stdin accepted
	Counts      stream.Counts
	Oldest      int64       // the oldest position in the log
	Last        int64       // the end of the log
	LeaderExit  *LeaderExit // set if descendants keep, or kept, the session running
	Record      *Record     // nil until the session has ended
	// Failure is why the session was not started. Until its start has returned, State is Starting
	// then; afterwards the session is no longer in the registry, unless FailureKept is set: then it has
	// waited for a slot, and is retained without a record. The last event of its log is Failed.
	Failure     error
	FailureKept bool
	Spool       SpoolView
	// LingerLeft is the time after which the session ends unless there is a hold. It is nil while
	// there is one, and without Spec.Linger.
	LingerLeft *time.Duration
}

// View returns the session as it is now.
func (s *Session) View() View {
	s.mu.Lock()
	st := &s.status
	v := View{
		State:      st.state,
		Started:    st.start.begun,
		LeaderExit: st.leaderExit,
		Record:     st.record,
		Failure:    st.start.failure,

		FailureKept: st.start.failureKept,
	}
	if v.Failure != nil && !st.start.slotReleased {
		v.State = Starting
	}
	if left, ok := st.linger.Left(); ok {
		v.LingerLeft = &left
	}
	if p := st.proc; p != nil {
		v.PID, v.PGID, v.Containment, v.Limits = p.PID(), p.PGID(), p.Containment(), p.EnforcedLimits()
		v.Sandbox = p.Sandbox()
	} else {
		v.Containment = s.reg.o.Host.Containment()
	}
	s.mu.Unlock()
	if s.restored != nil {
		s.restored.complete(&v)
	} else {
		v.Denied = s.connections.denied()
		v.StdinBytes = s.stdin.accepted()
		v.Spool = s.viewSpool()
	}
	v.Counts = s.log.Counts()
	v.Oldest, v.Last = s.log.Bounds()
	return v
}
