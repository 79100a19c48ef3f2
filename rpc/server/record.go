package server

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

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
}

// completion is the completion record as the wire has it.
func completion(id string, r *session.Record) rpc.Completion {
	c := rpc.Completion{
		SessionID:         id,
		Seq:               r.Seq,
		Reason:            reasons[r.Cause],
		Escalated:         r.Escalated,
		Survivors:         append([]int{}, r.Survivors...),
		SurvivorsVerified: !r.Unverified,
		PID:               r.PID,
		PGID:              r.PGID,
		ExecutionTime:     r.ExecutionTime.Seconds(),
		Output:            counts(r.Counts),
	}
	switch {
	case !r.Exit.Known:
		if r.Cause == session.Exited {
			c.Reason = rpc.ReasonLost
		}
	case r.Exit.Signal != 0:
		name := unix.SignalName(r.Exit.Signal)
		if name == "" {
			name = fmt.Sprintf("SIG%d", r.Exit.Signal) // a real-time signal: the kernel names none
		}
		c.Signal = &name
		if r.Cause == session.Exited {
			c.Reason = rpc.ReasonSignaled
		}
	default:
		c.ExitCode = &r.Exit.Code
	}
	if r.Cause == session.Exited && r.Exit.Limit != "" {
		c.Reason, c.Limit = rpc.ReasonLimit, string(r.Exit.Limit)
	}
	if r.Exit.Known {
		c.Usage = usage(r)
	}
	c.Status = statusOf(&c)
	return c
}

// statusOf follows the reason.
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

// captured is the record with the newest n bytes of each stream. It is made to fit into one message: where
// escaping swells it too much, less is captured, and said to be truncated.
func captured(s Session, n int64) []byte {
	rec, encoding := s.View().Record, s.Spec().Encoding
	for {
		c := rpc.Captured{Completion: completion(s.ID(), rec)}
		program := &s.Spec().Program
		if program.Terminal != nil {
			c.PTY, c.PTYTruncated, c.PTYEncoding, c.PTYReplaced = capture(s, stream.PTY, encoding, n)
		} else {
			c.Stdout, c.StdoutTruncated, c.StdoutEncoding, c.StdoutReplaced = capture(s, stream.Stdout, encoding, n)
		}
		if program.Terminal == nil && !program.MergeStderr {
			c.Stderr, c.StderrTruncated, c.StderrEncoding, c.StderrReplaced = capture(s, stream.Stderr, encoding, n)
		}
		b := mustMarshal(c)
		if len(b) <= rpc.MaxFrameBytes-maxReplyOverhead || n == 0 {
			return b
		}
		n /= 2
	}
}

func capture(s Session, kind stream.Kind, encoding string, n int64) (text *string, truncated bool, enc string, replaced int) {
	b, truncated := s.Tail(kind, n)
	if encoding == rpc.EncodingBase64 || encoding == rpc.EncodingAuto && !utf8.Valid(b) {
		t := base64.StdEncoding.EncodeToString(b)
		return &t, truncated, rpc.EncodingBase64, 0
	}
	if truncated { // the cut may have gone through a character
		for k := 0; k < utf8.UTFMax-1 && len(b) > 0 && !utf8.RuneStart(b[0]); k++ {
			b = b[1:]
		}
	}
	t := string(b) // encoding/json makes U+FFFD of each byte that is not UTF-8
	return &t, truncated, "", invalid(b)
}

// invalid counts the bytes that are not UTF-8.
func invalid(b []byte) (n int) {
	if utf8.Valid(b) {
		return 0
	}
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		b = b[size:]
	}
	return n
}

func heldLimits(all []process.Held) (list []rpc.HeldLimit) {
	for _, h := range all {
		list = append(list, rpc.HeldLimit{Limit: string(h.Limit), Value: h.Value, By: string(h.By)})
	}
	return list
}

// sessionStatus is what status and list tell of a session that was seen as v.
func sessionStatus(s Session, v *session.View) rpc.SessionStatus {
	spec := s.Spec()
	command := spec.Command.(rpc.Command)
	st := rpc.SessionStatus{
		SessionID:   s.ID(),
		State:       v.State.String(),
		Command:     command.Text(),
		PID:         v.PID,
		PGID:        v.PGID,
		Containment: string(v.Containment),
		Limits:      heldLimits(v.Limits),
		StartedAt:   v.Started.UTC().Format(time.RFC3339Nano),
		Labels:      spec.Labels,
		StdinBytes:  v.StdinBytes,
		Output:      counts(v.Counts),
	}
	if !command.IsText() {
		st.CommandBase64 = (*rpc.Base64Command)(&command)
	}
	if v.Record != nil {
		c := completion(s.ID(), v.Record)
		st.Completion = &c
	}
	return st
}
