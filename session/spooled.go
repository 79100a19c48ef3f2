package session

import (
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/stream"
)

// CommandCodec converts Spec.Command to JSON and back.
type CommandCodec struct {
	Encode func(command any) ([]byte, error)
	Decode func([]byte) (command any, err error)
}

// SpoolStopped is the log's note that output is no longer kept on the disk.
type SpoolStopped struct{ Err error }

// SpoolView is what the spool has of a session.
type SpoolView struct {
	State spool.State // "" if the output is not spooled
	Bytes int64       // of the disk
}

// viewSpool returns what the spool has of a session that was not restored.
func (s *Session) viewSpool() (v SpoolView) {
	switch {
	case s.spec.NoSpool || s.reg.o.Spool == nil:
	case s.spooled == nil:
		v.State = spool.StateStopped
	default:
		v.State, v.Bytes = s.spooled.State()
	}
	return v
}

// newSpooled returns the session's part of the spool; nil without one, or if the disk does not respond.
func (s *Session) newSpooled() *spool.Session {
	if s.reg.o.Spool == nil {
		return nil
	}
	return s.reg.o.Spool.NewSession(s.created, s.spec.Owner, s.spec.ID, s.spec.Name)
}

// saveOptions returns those of the session's log; nil if its output is not spooled.
func (s *Session) saveOptions() *stream.SaveOptions {
	if s.spooled == nil || s.spec.NoSpool {
		return nil
	}
	return s.spooled.SaveOptions()
}

// beginSpooled writes the start of the session to the spool. It does not wait for that.
func (s *Session) beginSpooled(begun time.Time) {
	if s.spooled == nil {
		return
	}
	s.spooled.Begin(spool.Start{
		Owner: s.spec.Owner, ID: s.spec.ID, Name: s.spec.Name,
		Output:  !s.spec.NoSpool,
		Params:  s.spec.params,
		Meta:    func() ([]byte, error) { return s.storeStart(begun) },
		Encode:  encodeEvent,
		Decode:  decodeEvent,
		Stopped: s.tellUnspooled,
	}, s.log.Saver())
}

// awaitSpooled waits until the start of the session is in the spool, so that a command that runs is known
// after a crash. The error is why it cannot be written; the command is started nevertheless.
func (s *Session) awaitSpooled() error {
	switch {
	case s.reg.o.Spool == nil:
		return nil
	case s.spooled == nil:
		return spool.ErrStalled
	}
	return s.spooled.Written()
}

// tellUnspooled makes the clients know, once, why the output is not kept, unless it was not to be. A nil
// error has no effect.
func (s *Session) tellUnspooled(why error) {
	if why != nil && !s.spec.NoSpool && s.unspooled.CompareAndSwap(false, true) {
		s.log.AppendNote(SpoolStopped{why})
	}
}

// discardSpooled removes the session, whose command did not run, from the spool.
func (s *Session) discardSpooled() {
	if s.spooled != nil {
		s.spooled.Discard()
	}
}

// completeSpooled writes the record, which is about to be made, to the spool.
func (s *Session) completeSpooled(rec *Record) {
	if s.spooled == nil {
		return
	}
	rec.Seq, rec.Counts = s.log.Next()
	meta, err := s.storeRecord(rec)
	if err != nil {
		s.logged(s.reg.o.Log.Error()).Err(err).Msg("record not written")
		s.spooled.Discard()
		return
	}
	s.spooled.Complete(meta)
}

// storeStart returns the form of a start on the disk.
func (s *Session) storeStart(begun time.Time) ([]byte, error) {
	command, err := s.reg.o.Commands.Encode(s.spec.Command)
	if err != nil {
		return nil, err
	}
	term := ""
	if t := s.spec.Program.Terminal; t != nil {
		term = t.Term
	}
	return spool.JSON(storedStart{
		Command:     command,
		Encoding:    s.spec.Encoding,
		Labels:      s.spec.Labels,
		TraceID:     s.spec.TraceID,
		Containment: string(s.reg.o.Host.Containment()),
		Begun:       begun.UnixNano(),
		Terminal:    s.spec.Program.Terminal != nil,
		MergeStderr: s.spec.Program.MergeStderr,
		Raw:         s.spec.Output.Raw,
		CaptureHead: s.spec.CaptureHead,
		Queued:      s.waits,
		NoOutput:    s.spec.NoSpool,
		Term:        term,
		RecordInput: s.spec.RecordInput,
	})
}

// storeRecord returns the form of a record on the disk.
func (s *Session) storeRecord(rec *Record) ([]byte, error) {
	v, state := s.View(), s.log.State()
	saving, _ := s.spooled.State()
	x := storedRecord{
		Seq:         rec.Seq,
		Cause:       causeNames[rec.Cause],
		PID:         rec.PID,
		PGID:        rec.PGID,
		Exit:        storeExit(rec.Exit),
		Escalated:   rec.Escalated,
		Survivors:   rec.Survivors,
		Unverified:  rec.Unverified,
		Execution:   int64(rec.ExecutionTime),
		Counts:      storeCounts(rec.Counts),
		StdinBytes:  v.StdinBytes,
		Containment: string(v.Containment),
		Limits:      storeLimits(v.Limits),
		Sandbox:     storeSandbox(rec.Sandbox),
		Denied:      storeDenied(rec.Denied),
		Stopped:     saving == spool.StateStopped,
		Sizes:       storeSizes(s.Sizes()),
		Recording:   storeRecording(state.Recording),
		Log:         storeLog(state),
	}
	if e := v.LeaderExit; e != nil {
		x.LeaderExit = storeExit(process.Exit{Code: e.Code, Signal: e.Signal, Known: e.Known})
		for _, n := range state.Notes {
			if n.Event == e {
				x.LeaderSeq = n.Seq
			}
		}
	}
	return spool.JSON(x)
}

// LostRecord returns the form on the disk of the record of a session that ran when its server ended:
// see spool.Options.Lost.
func LostRecord(_ []byte, end stream.Mark) ([]byte, error) {
	return spool.JSON(storedRecord{Seq: end.Seq + 1, Cause: causeNames[Lost], Unverified: true})
}
