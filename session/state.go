package session

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// State is where a session stands.
type State uint8

// The states, in the only order in which they follow each other, but for Running and Paused, which
// alternate. A session that could not be started goes from Starting to Ended.
const (
	Starting State = iota
	Running
	Paused
	Ending
	Ended
)

func (s State) String() string {
	return [...]string{"starting", "running", "paused", "ending", "ended"}[s]
}

// Live reports whether the session's command runs and may be controlled.
func (s State) Live() bool { return s == Running || s == Paused }

// next lists the states that may follow each.
var next = [...][]State{
	Starting: {Running, Ended},
	Running:  {Paused, Ending},
	Paused:   {Running, Ending},
	Ending:   {Ended},
	Ended:    {},
}

// Cause is why a session ended: the first thing that did.
type Cause uint8

// The causes. Exited is the command's own end, by exit or by a signal that the server did not send.
const (
	Exited Cause = iota
	Canceled
	TimedOut
	StreamTimedOut
	Disconnected
	Shutdown
)

// Change is the log's event of a change of state, and what it was told as.
type Change struct {
	Status    string // started, paused, resumed or canceled
	PID, PGID int
}

// Left is the log's note of a command that has exited, while its descendants keep the session running, and how it ended:
// its exit code, or -1 and the signal.
type Left struct {
	Code   int
	Signal syscall.Signal
	Known  bool
}

// Record is the completion record: how a session ended. It is never changed once made.
type Record struct {
	Seq           int64 // its place in the log, the last
	Cause         Cause
	Exit          process.Exit
	Escalated     bool  // SIGKILL was needed
	Survivors     []int // processes that even that did not end
	Unverified    bool  // there may be others: the tree could not be inspected
	PID, PGID     int
	ExecutionTime time.Duration // from the start to the exit of the command itself
	Counts        stream.Counts
}

// status is all of a session that changes. It is changed through Session.update alone.
type status struct {
	state     State
	cause     Cause
	ask       syscall.Signal // by which the tree has to be asked to end; 0 if it has not
	stop      syscall.Signal // by which an end was asked for; 0 is the session's own
	wanted    bool           // an end was asked for, with cause; it comes once the process runs
	grace     time.Duration
	due       time.Time          // when grace has passed, once killer is set
	killer    *time.Timer        // runs kill at due; then, for a command that even that does not end, gives it up
	killed    bool               // due has passed
	exited    bool               // the command itself is gone, and so is its tree or is to be ended
	left      *Left              // the command itself is gone and its tree goes on
	hurried   bool               // what is left of the end waits for no client any more
	draining  chan struct{}      // closed by hurry, where somebody drains
	awaiting  context.CancelFunc // called when the end begins, where somebody waits for the tree
	sweeping  context.CancelFunc // called by cutShort, where somebody sweeps
	escalated bool
	attached  []*Attachment
	holds     int              // attachments, reads and waits
	linger    *stream.Deadline // runs while there are none
	launch    *launch          // nil before Begin
	startOver bool             // nothing of the start is left, and it failed
	waiting   []func()         // for the end of the start
	settled   bool             // nothing waits for that any more
	started   time.Time        // when the start began
	ran       time.Time        // when the process was forked
	ended     time.Time
	proc      *process.Process
	record    *Record
	failure   error // why it did not start
}

// move changes the state. A step that next does not list is a bug of this package.
func (st *status) move(to State) {
	for _, s := range next[st.state] {
		if s == to {
			st.state = to
			return
		}
	}
	panic(fmt.Sprintf("session: %v after %v", to, st.state))
}

// hurry ends the patience with which output is read whose reader is slow.
func (st *status) hurry() {
	if !st.hurried && st.draining != nil {
		close(st.draining)
	}
	st.hurried = true
}

// cutShort ends what politeness is left towards the tree of a command that is gone.
func (st *status) cutShort() {
	st.hurry()
	if st.sweeping != nil {
		st.sweeping()
	}
}

func (st *status) change(what string) Change {
	return Change{Status: what, PID: st.proc.PID(), PGID: st.proc.PGID()}
}

// check panics where the parts of a state contradict each other, so that a bug shows where it is made.
func (st *status) check() {
	switch {
	case st.holds < len(st.attached):
		panic("session: released more often than held")
	case st.state.Live() && st.proc == nil:
		panic("session: runs without a process")
	case (st.state == Ended) != (st.record != nil || st.failure != nil):
		panic("session: ended without a record, or the other way round")
	}
}
