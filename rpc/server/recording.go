package server

import (
	"cmp"
	"context"
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// recordingEntryBytes is an upper bound of the JSON of an entry of a recording, input included.
const recordingEntryBytes = 8 << 10

// recording replies with a page of the times of a terminal's output, its sizes and its recorded input.
func recording(r *request, p *rpc.RecordingParams) answer {
	s, err := r.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	if s.Spec().Program.Terminal == nil {
		return result(nil, rpc.InvalidParams("session_id", "the session has no terminal"))
	}
	if st := s.View().State; st == session.Queued || st == session.Starting {
		return result(nil, rpc.NotRunning(st.String()))
	}
	return later(func(ctx context.Context) (any, error) {
		rec, err := s.Recording()
		if err != nil {
			return nil, err
		}
		if err := r.conn.mayStillRead(s); err != nil {
			return nil, err
		}
		return lazyResult(func() []byte {
			return mustMarshal(recordingPage(s, rec, r.conn.maySeeInput(s), p))
		}), nil
	})
}

// maySeeInput reports whether the caller gets the recorded input of a session: only who may write to it.
func (c *conn) maySeeInput(s *session.Session) bool {
	if !s.Spec().RecordInput || permit(c.identity(), s.Spec().Owner, mayChange) != nil {
		return false
	}
	return c.authorize(rpc.MethodWrite, &rpc.WriteParams{SessionID: c.name(s)}) == nil
}

// recordingPage returns the entries of a page. Entries of the same time are on one page, so that its next
// is a time.
func recordingPage(s *session.Session, rec *stream.Recording, input bool, p *rpc.RecordingParams) rpc.RecordingResult {
	res := rpc.RecordingResult{
		Start:    rec.Begin.UTC().Format(time.RFC3339Nano),
		Term:     cmp.Or(s.Spec().Program.Terminal.Term, process.DefaultTerm),
		Interval: rec.Interval.Seconds(),
		Input:    input,
		Entries:  []rpc.RecordingEntry{},
	}
	all := newRecordingReader(s, rec)
	if input {
		all.add(rpc.RecordedInput, rec.Input.Read(true))
		res.InputTruncated = rec.InputCut
	}
	room, last := rpc.MaxFrameBytes-maxReplyOverhead-recordingEntryBytes, int64(-1)
	for e, at, ok := all.next(); ok; e, at, ok = all.next() {
		if at < p.After {
			continue
		}
		if full := room <= 0 || p.Limit != nil && int64(len(res.Entries)) >= *p.Limit; full && at != last {
			res.Next = last + 1
			break
		}
		res.Entries = append(res.Entries, e)
		room -= len(mustMarshal(e)) + len(",")
		last = at
	}
	return res
}

// recordingReader merges the parts of a recording by their times.
type recordingReader struct {
	sizes  []session.Size
	begin  time.Time
	tracks []*trackCursor
}

// trackCursor is the next entry of a track.
type trackCursor struct {
	kind   string
	reader *stream.TrackReader
	next   stream.TrackEntry
	ok     bool
}

func newRecordingReader(s *session.Session, rec *stream.Recording) *recordingReader {
	x := &recordingReader{sizes: s.Sizes(), begin: rec.Begin}
	x.add(rpc.RecordedOutput, rec.Output.Read(false))
	return x
}

func (x *recordingReader) add(kind string, r *stream.TrackReader) {
	t := &trackCursor{kind: kind, reader: r}
	t.next, t.ok = r.Next()
	x.tracks = append(x.tracks, t)
}

// next returns the next entry, and its time in microseconds. Of entries with the same time, a size is first.
func (x *recordingReader) next() (e rpc.RecordingEntry, at int64, ok bool) {
	var first *trackCursor
	for _, t := range x.tracks {
		if t.ok && (first == nil || t.next.Time < first.next.Time) {
			first = t
		}
	}
	if len(x.sizes) > 0 {
		z := x.sizes[0]
		if t := max(z.Time.Sub(x.begin), 0).Truncate(time.Microsecond); first == nil || t <= first.next.Time {
			x.sizes = x.sizes[1:]
			return rpc.RecordingEntry{
				Type: rpc.RecordedResize, Time: t.Seconds(), Seq: z.Seq, Rows: z.Rows, Cols: z.Cols,
			}, t.Microseconds(), true
		}
	}
	if first == nil {
		return e, 0, false
	}
	from := first.next
	first.next, first.ok = first.reader.Next()
	e = rpc.RecordingEntry{Type: first.kind, Time: from.Time.Seconds(), Seq: from.Seq}
	switch {
	case first.kind == rpc.RecordedOutput:
	case utf8.Valid(from.Data):
		e.Data = string(from.Data)
	default:
		e.Data, e.Encoding = base64.StdEncoding.EncodeToString(from.Data), rpc.EncodingBase64
	}
	return e, from.Time.Microseconds(), true
}
