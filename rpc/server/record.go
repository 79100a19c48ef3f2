package server

import (
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

var reasons = [...]string{
	session.Exited:         rpc.ReasonExited,
	session.Canceled:       rpc.ReasonCanceled,
	session.TimedOut:       rpc.ReasonTimeout,
	session.StreamTimedOut: rpc.ReasonStreamTimeout,
	session.Disconnected:   rpc.ReasonDisconnected,
	session.Shutdown:       rpc.ReasonShutdown,
	session.Lost:           rpc.ReasonLost,
}

// completion converts a completion record.
func completion(of named, r *session.Record) rpc.Completion {
	c := rpc.Completion{
		SessionID:         of.name,
		Principal:         of.principal,
		Seq:               r.Seq,
		Reason:            reasons[r.Cause],
		Escalated:         r.Escalated,
		Survivors:         append([]int{}, r.Survivors...),
		SurvivorsVerified: !r.Unverified,
		PID:               r.PID,
		PGID:              r.PGID,
		ExecutionTime:     r.ExecutionTime.Seconds(),
		Output:            counts(r.Counts),
		Sandbox:           sandboxReport(r.Sandbox, r.Denied),
	}
	if r.Cause == session.Exited {
		switch {
		case r.Exit.Limit != "":
			c.Reason, c.Limit = rpc.ReasonLimit, string(r.Exit.Limit)
		case !r.Exit.Known:
			c.Reason = rpc.ReasonLost
		case r.Exit.Signal != 0:
			c.Reason = rpc.ReasonSignaled
		}
	}
	how := exitStatus(r.Exit.Code, r.Exit.Signal, r.Exit.Known)
	c.ExitCode, c.Signal = how.ExitCode, how.Signal
	if r.Exit.Known {
		c.Usage = usage(r)
	}
	c.Status = statusOf(&c)
	return c
}

// exitStatus returns how a command ended; its members are nil if that is not known.
func exitStatus(code int, sig syscall.Signal, known bool) (s rpc.ExitStatus) {
	switch {
	case !known:
	case sig != 0:
		name := process.SignalName(sig)
		s.Signal = &name
	default:
		s.ExitCode = &code
	}
	return s
}

// statusOf derives the status of a completion record from its reason.
func statusOf(c *rpc.Completion) string {
	switch {
	case c.Reason == rpc.ReasonCanceled:
		return rpc.StatusCanceled
	case c.Reason == rpc.ReasonExited && *c.ExitCode == 0:
		return rpc.StatusCompleted
	default:
		return rpc.StatusFailed
	}
}

func usage(r *session.Record) rpc.Usage {
	user, system := r.Exit.UserTime.Seconds(), r.Exit.SystemTime.Seconds()
	u := rpc.Usage{UserTime: &user, SystemTime: &system}
	if r.Exit.MaxRSS > 0 {
		u.MaxRSSBytes = &r.Exit.MaxRSS
	}
	return u
}

func counts(c stream.Counts) rpc.OutputCounts {
	return rpc.OutputCounts{
		StdoutBytes:    c.Written[stream.Stdout],
		StderrBytes:    c.Written[stream.Stderr],
		PTYBytes:       c.Written[stream.PTY],
		TruncatedLines: c.TruncatedLines,
		DroppedBytes:   c.Dropped,
		LostBytes:      c.Lost,
	}
}

func heldLimits(all []process.EnforcedLimit) (list []rpc.HeldLimit) {
	for _, h := range all {
		list = append(list, rpc.HeldLimit{Limit: string(h.Limit), Value: h.Value, By: string(h.By)})
	}
	return list
}

// status returns the status of a session for its view v.
func (c *conn) status(s *session.Session, v *session.View) rpc.SessionStatus {
	spec, of := s.Spec(), c.named(s)
	command := spec.Command.(rpc.Command)
	st := rpc.SessionStatus{
		SessionID:   of.name,
		Name:        spec.Name,
		Principal:   of.principal,
		State:       v.State.String(),
		Command:     command.Text(),
		PID:         v.PID,
		PGID:        v.PGID,
		Containment: string(v.Containment),
		Limits:      heldLimits(v.Limits),
		Sandbox:     sandboxReport(v.Sandbox, v.Denied),
		Labels:      spec.Labels,
		StdinBytes:  v.StdinBytes,
		RecordInput: spec.RecordInput,
		Output:      counts(v.Counts),
	}
	if !v.Started.IsZero() {
		st.StartedAt = v.Started.UTC().Format(time.RFC3339Nano)
	}
	if !command.IsText() {
		st.CommandBase64 = (*rpc.Base64Command)(&command)
	}
	if v.LingerLeft != nil {
		left := v.LingerLeft.Seconds()
		st.LingerLeft = &left
	}
	if v.Spool.State != "" {
		st.Spool = &rpc.SpoolStatus{Bytes: v.Spool.Bytes, OldestSeq: v.Oldest, State: string(v.Spool.State)}
	}
	if v.LeaderExit != nil {
		how := exitStatus(v.LeaderExit.Code, v.LeaderExit.Signal, v.LeaderExit.Known)
		st.Exited = &how
	}
	if v.FailureKept && v.State == session.Ended {
		failure := startError(v.Failure)
		st.Error = &failure
	}
	if v.Record != nil {
		record := completion(of, v.Record)
		st.Completion = &record
	}
	return st
}
