package session

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/stream"
)

// State is the state of a session.
type State uint8

// The states, in the order in which they follow each other; Running and Paused alternate. A session
// that does not wait for a slot begins with Starting. One that could not be started goes from Queued or
// Starting to Ended.
const (
	Queued State = iota
	Starting
	Running
	Paused
	Ending
	Ended
)

func (s State) String() string {
	return [...]string{"queued", "starting", "running", "paused", "ending", "ended"}[s]
}

// Live reports whether the session's command runs and may be controlled.
func (s State) Live() bool { return s == Running || s == Paused }

// nextStates lists the states that may follow each.
var nextStates = [...][]State{
	Queued:   {Starting, Ended},
	Starting: {Running, Ended},
	Running:  {Paused, Ending},
	Paused:   {Running, Ending},
	Ending:   {Ended},
	Ended:    {},
}

// Cause is why a session ended.
type Cause uint8

// The causes. Exited means that the command ended by itself, by exit or by a signal that the server
// did not send to end it.
const (
	Exited Cause = iota
	Canceled
	TimedOut
	StreamTimedOut
	Disconnected
	Shutdown
	Lost // the server ended before the session did
)

// Change is the log's event of a change of state.
type Change struct {
	Status    string // started, paused, resumed or canceled
	PID, PGID int
}

// LeaderExit is the log's note that the command has exited while its descendants keep the session
// running.
type LeaderExit struct {
	Code   int            // -1 if it was killed by a signal
	Signal syscall.Signal // that killed it; 0 if it exited
	Known  bool           // whether Code and Signal could be read
}

// Waiting is the log's note that the session waits for a slot.
type Waiting struct {
	Position int // among the waiting sessions of its owner, from 1
}

// Failed is the log's note that a session which has waited for a slot was not started. It is the last
// event of such a session.
type Failed struct{ Err error }

// Record is the completion record: how a session ended. It does not change.
type Record struct {
	Seq           int64 // its position in the log, the last one
	Cause         Cause
	Exit          process.Exit
	Escalated     bool  // SIGKILL was sent
	Survivors     []int // processes that outlived SIGKILL
	Unverified    bool  // there may be more survivors: the tree could not be inspected
	PID, PGID     int
	ExecutionTime time.Duration // from the fork to the exit of the command
	Counts        stream.Counts
	Sandbox       *sandbox.Report // nil without one
	Denied        *Denied         // nil if nothing was
}

// sessionStatus is the data of a session that changes. Session.mu protects it, and only
// Session.update changes it.
type sessionStatus struct {
	state      State // as clients see it, except while a failed start has not returned: see View
	start      starting
	end        ending
	proc       tree // nil until the command runs
	forked     time.Time
	leaderExit *LeaderExit      // set if the command has exited and descendants kept the session running
	attached   []*Attachment    // those that are not passive
	watching   []*Attachment    // the passive ones
	holds      int              // attachments and calls of Hold that were not released
	linger     *stream.Deadline // runs while the session is live or queued and has no holds
	record     *Record
	sizes      []Size // see Sizes
}

// move changes the state. A step that nextStates does not list is a bug of this package.
func (st *sessionStatus) move(to State) {
	if !slices.Contains(nextStates[st.state], to) {
		panic(fmt.Sprintf("session: %v after %v", to, st.state))
	}
	st.state = to
}

// check panics if parts of the status contradict each other.
func (st *sessionStatus) check() {
	switch {
	case st.holds < len(st.attached):
		panic("session: fewer holds than attachments")
	case st.state.Live() && st.proc == nil:
		panic("session: live without a process")
	case (st.state == Ended) != (st.record != nil || st.start.failure != nil):
		panic(fmt.Sprintf("session: state %v with record %v and failure %v", st.state, st.record, st.start.failure))
	}
	st.end.check(st)
}
