package session

import (
	"cmp"
	"encoding/json"
	"errors"
	"runtime"
	"time"
	"weak"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/stream"
)

// This file makes sessions of what the spool has of those that have ended and are not in memory any
// more. Such a session is like any other that has ended. While somebody refers to it, it is the same
// one for all.

// ErrUnavailable means that a session cannot be read from the disk at the moment.
var ErrUnavailable = errors.New("the session cannot be read from the disk")

// restored is what a session has instead of a process if it was made of what the spool has of it.
type restored struct {
	start  storedStart
	record storedRecord
	bytes  int64
}

// restore returns the sessions that the spool has, without those that were removed meanwhile or cannot be
// read. It reads from the disk, but does not wait for it long: then the error is ErrUnavailable, and it
// returns those that need not be read.
func (r *Registry) restore(list []spool.Kept) (sessions []*Session, err error) {
	sessions = make([]*Session, 0, len(list))
	missing := list[:0:0]
	r.mu.Lock()
	for _, k := range list {
		if s := r.restored[k.Key()].Value(); s != nil {
			sessions = append(sessions, s)
		} else {
			missing = append(missing, k)
		}
	}
	r.mu.Unlock()
	if len(missing) == 0 {
		return sessions, nil
	}
	loaded, err := r.o.Spool.Load(missing, decodeEvent)
	if err != nil {
		return sessions, ErrUnavailable
	}
	for i, l := range loaded {
		if l == nil {
			continue
		}
		s, err := r.newRestored(missing[i].Key(), l)
		if err != nil {
			r.o.Log.Warn().Err(err).Str("session", l.ID).Msg("session on the disk skipped")
			continue
		}
		sessions = append(sessions, r.shared(s))
	}
	return sessions, nil
}

// restoreOne is restore for one session. The error is ErrNotFound or ErrUnavailable.
func (r *Registry) restoreOne(k spool.Kept) (*Session, error) {
	list, err := r.restore([]spool.Kept{k})
	switch {
	case err != nil:
		return nil, err
	case len(list) > 0:
		return list[0], nil
	}
	if again, ok := r.o.Spool.Find(k.Owner(), k.ID()); ok && again.Key() == k.Key() {
		return nil, ErrUnavailable // it is there, but damaged, or was not recovered
	}
	return nil, ErrNotFound
}

// shared returns the session with the same key that was restored before, if it is still in use, else s.
func (r *Registry) shared(s *Session) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if earlier := r.restored[s.created].Value(); earlier != nil {
		return earlier
	}
	r.restored[s.created] = weak.Make(s)
	runtime.AddCleanup(s, r.forgetRestored, s.created)
	return s
}

// forgetRestored is called when a restored session is no longer in use.
func (r *Registry) forgetRestored(created int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.restored[created].Value() == nil {
		delete(r.restored, created)
	}
}

// newRestored makes a session of what the spool has.
func (r *Registry) newRestored(key int64, l *spool.Loaded) (*Session, error) {
	x := &restored{bytes: l.Bytes}
	if err := json.Unmarshal(l.Start, &x.start); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(l.Record, &x.record); err != nil {
		return nil, err
	}
	command, err := r.o.Commands.Decode(x.start.Command)
	if err != nil {
		return nil, err
	}
	s := &Session{reg: r, created: key, waits: x.start.Queued, restored: x, ready: closed, done: closed}
	s.spec = Spec{
		ID: l.ID, Owner: l.Owner, Name: l.Name, Role: access.Run,
		Command: command, Encoding: x.start.Encoding, Labels: x.start.Labels, TraceID: x.start.TraceID,
		Keep: true, CaptureHead: x.start.CaptureHead, NoSpool: x.start.NoOutput, RecordInput: x.start.RecordInput,
		Output: stream.ReaderOptions{Raw: x.start.Raw},
	}
	s.spec.Program.MergeStderr = x.start.MergeStderr
	if x.start.Terminal {
		s.spec.Program.Terminal = &process.Terminal{Term: x.start.Term}
	}
	s.stdin.shut("the session has ended")
	s.restoreLog(l)
	return s, nil
}

// complete adds to a view what a session that was not restored has from its process.
func (x *restored) complete(v *View) {
	v.Containment = process.Containment(cmp.Or(x.record.Containment, x.start.Containment))
	v.PID, v.PGID, v.Limits = x.record.PID, x.record.PGID, enforcedLimits(x.record.Limits)
	v.Sandbox, v.Denied, v.StdinBytes = v.Record.Sandbox, v.Record.Denied, x.record.StdinBytes
	if !x.start.NoOutput {
		v.Spool = SpoolView{State: spool.StateKept, Bytes: x.bytes}
		if x.record.Stopped {
			v.Spool.State = spool.StateStopped
		}
	}
}

// restoreLog makes the log and the status.
func (s *Session) restoreLog(l *spool.Loaded) {
	x := &s.restored.record
	rec := &Record{
		Seq: x.Seq, Cause: causeOf(x.Cause), Exit: x.Exit.exit(), Escalated: x.Escalated, Survivors: x.Survivors,
		Unverified: x.Unverified, PID: x.PID, PGID: x.PGID, ExecutionTime: time.Duration(x.Execution),
		Counts: x.Counts.counts(), Sandbox: x.Sandbox.report(), Denied: x.Denied.denied(),
	}
	state := x.Log.state(stream.Mark{Seq: rec.Seq - 1, Events: max(x.Log.EventCount, l.End.Events)})
	state.Counts, state.Recording = rec.Counts, x.Recording.recording()
	x.Recording = nil // the log has it
	if rec.Cause == Lost {
		s.completeLost(&state)
	}
	st := &s.status
	st.sizes = sizes(x.Sizes)
	if x.LeaderExit != nil {
		exit := x.LeaderExit.exit()
		st.leaderExit = &LeaderExit{Code: exit.Code, Signal: exit.Signal, Known: exit.Known}
		state.Notes = []stream.Note{{Seq: x.LeaderSeq, Event: st.leaderExit}}
	}
	s.log = stream.OpenLog(stream.LogOptions{
		Bound: s.reg.o.ReplayBytes, Save: &stream.SaveOptions{Source: l.Source}, Timeline: true,
	}, state)
	s.log.AppendEvent(func(int64, stream.Counts) any { return rec })
	st.state, st.record, st.end.phase = Ended, rec, done
	st.start.called, st.start.begun, st.start.deferredDone = true, time.Unix(0, s.restored.start.Begun), true
}

// completeLost adds to the state of the log of a session that was lost what can be known without reading the
// output.
func (s *Session) completeLost(state *stream.State) {
	end := state.End
	if end.Events > 1 { // the first event is the start; where the others are is not known
		state.Events = []stream.Mark{{}, {Seq: end.Seq - (end.Events - 1), Events: 1}}
	}
	switch p := &s.spec.Program; {
	case p.Terminal != nil:
		state.Appended[stream.PTY] = end.Seq - end.Events
	case p.MergeStderr:
		state.Appended[stream.Stdout] = end.Seq - end.Events
	}
}

// closed is a closed channel.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
