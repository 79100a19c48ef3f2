package mcp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// page is a part of the log of a session.
type page struct {
	data []byte // output, with notes of what is not kept
	ends []end  // of its parts, each an event
	last int64  // the position after it
	lost int64  // how many bytes are not kept
	done bool   // the session has ended, and nothing follows
}

// end is where a part of a page ends: its index in the data, and its position in the log.
type end struct {
	index int
	seq   int64
	note  bool // the part is a note of what is not kept
}

// at returns the position of the output at an index of the data.
func (p *page) at(index int) int64 {
	for _, e := range p.ends {
		switch {
		case e.index < index:
		case e.note:
			return e.seq
		default:
			return e.seq - int64(e.index-index)
		}
	}
	return p.last
}

// read returns at most n bytes of output after a position. If there is nothing yet, it waits.
func (s *Server) read(ctx context.Context, id string, after int64, n int, wait time.Duration) (*page, error) {
	max := int64(n)
	ctx, cancel := context.WithTimeout(ctx, wait+callMargin)
	defer cancel()
	var r rpc.ReadResult
	err := s.caller.CallIdempotent(ctx, rpc.MethodRead, rpc.ReadParams{
		SessionID: id, AfterSeq: after, MaxBytes: &max, Timeout: rpc.Seconds{Set: true, D: wait},
	}, &r)
	if err != nil {
		return nil, err
	}
	p := &page{last: r.LastSeq, done: r.Done}
	for _, e := range r.Events {
		if err := p.add(e); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add adds an event.
func (p *page) add(e rpc.Event) error {
	switch e.Method {
	case rpc.NotifyOutput:
		var o rpc.Output
		if err := json.Unmarshal(e.Params, &o); err != nil {
			return err
		}
		data := []byte(o.Data)
		if o.Encoding == rpc.EncodingBase64 {
			var err error
			if data, err = base64.StdEncoding.DecodeString(o.Data); err != nil {
				return err
			}
		}
		p.data = append(p.data, data...)
		p.ends = append(p.ends, end{len(p.data), o.Seq, false})
	case rpc.NotifyGap:
		var g rpc.Gap
		if err := json.Unmarshal(e.Params, &g); err != nil {
			return err
		}
		if g.LostBytes == 0 {
			return nil
		}
		p.lost += g.LostBytes
		if n := len(p.data); n > 0 && p.data[n-1] != '\n' {
			p.data = append(p.data, '\n')
		}
		p.data = fmt.Appendf(p.data, "[%d bytes of output are not kept any more]\n", g.LostBytes)
		p.ends = append(p.ends, end{len(p.data), g.Seq, true})
	}
	return nil
}

// follow appends the page after p, for which it waits, and reports whether there was output in it.
func (s *Server) follow(ctx context.Context, id string, p *page, n int, wait time.Duration) (more bool, err error) {
	next, err := s.read(ctx, id, p.last, n, wait)
	if err != nil {
		return false, err
	}
	for _, e := range next.ends {
		p.ends = append(p.ends, end{len(p.data) + e.index, e.seq, e.note})
	}
	p.data, p.last, p.lost, p.done = append(p.data, next.data...), next.last, p.lost+next.lost, next.done
	return len(next.data) > 0, nil
}

// status returns the state of a session.
func (s *Server) status(ctx context.Context, id string) (*rpc.StatusResult, error) {
	ctx, cancel := context.WithTimeout(ctx, callMargin)
	defer cancel()
	var st rpc.StatusResult
	if err := s.caller.CallIdempotent(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: id}, &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// written returns how many bytes of output a session has written. Its log ends at this position or,
// since events count too, somewhat later.
func written(o *rpc.OutputCounts) int64 { return o.StdoutBytes + o.StderrBytes + o.PTYBytes }

// output returns a session with its output after a position. If there is none yet, it waits for it.
func (s *Server) output(ctx context.Context, id string, after int64, wait time.Duration) (*sessionResult, error) {
	until := time.Now().Add(wait)
	p, err := s.read(ctx, id, after, MaxHeadBytes, wait)
	for more := true; more && err == nil && !p.done && 0 < len(p.data) && len(p.data) < MaxHeadBytes && time.Now().Before(until); {
		more, err = s.follow(ctx, id, p, MaxHeadBytes-len(p.data), min(settle, time.Until(until)))
	}
	if err != nil {
		return nil, err
	}
	st, err := s.status(ctx, id)
	if err != nil {
		return nil, err
	}
	e := &excerpt{head: p.data, lost: p.lost, last: p.last}
	if !p.done && (len(p.data) >= MaxHeadBytes || st.State == stateEnded) { // there is, or may be, more
		if e, err = s.excerptOf(ctx, id, p, written(&st.Output)); err != nil {
			return nil, err
		}
	}
	r := resultOf(st)
	r.set(e)
	return r, nil
}

// excerptOf returns the excerpt that begins with p. total is how many bytes of output there are.
func (s *Server) excerptOf(ctx context.Context, id string, p *page, total int64) (*excerpt, error) {
	const most = MaxTailBytes + 1<<10 // the rest is for the events, which the positions count, too
	begin := total - MaxTailBytes
	if begin <= p.last {
		_, err := s.follow(ctx, id, p, most, 0)
		return &excerpt{head: p.data, lost: p.lost, last: p.last}, err
	}
	tail, err := s.read(ctx, id, begin, most, 0)
	if err != nil {
		return nil, err
	}
	n, cut := cutHead(p.data), cutTail(tail.data)
	e := &excerpt{head: p.data[:n], tail: tail.data[cut:], lost: p.lost + tail.lost, last: tail.last, resume: p.at(n)}
	e.omitted = tail.at(cut) - e.resume
	return e, nil
}

// resultOf returns the state of a session, without output.
func resultOf(st *rpc.StatusResult) *sessionResult {
	r := &sessionResult{SessionID: st.SessionID, State: st.State, Completion: st.Completion}
	r.WaitingForInput = st.WaitingForInput != nil && *st.WaitingForInput
	if st.Error != nil {
		r.StartError = oneLine(st.Error.Message)
	}
	return r
}
