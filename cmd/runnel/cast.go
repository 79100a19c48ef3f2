package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

var (
	errNoCast   = errors.New("the server does not record when a terminal's output was written: --cast is not possible")
	errNoTimes  = errors.New("the times of the output are not known, which a crash of the server loses: --cast is not possible")
	errNotOnPTY = errors.New("the session has no terminal: --cast is not possible")
)

// castHeader is the first line of an asciicast of version 2.
type castHeader struct {
	Version   int               `json:"version"`
	Width     int               `json:"width"`
	Height    int               `json:"height"`
	Timestamp int64             `json:"timestamp"`
	Env       map[string]string `json:"env"`
}

// castPrinter prints the output of a terminal as an asciicast of version 2, with its sizes and recorded
// input.
type castPrinter struct {
	inv     *invocation
	log     logSource
	entries castEntries
	out     *bufio.Writer
	time    float64 // of what is printed next, in seconds since the start
	output  castText
	input   castText
}

// printCast prints what there is of a session now.
func printCast(ctx context.Context, inv *invocation, conn *client.Client, id string) error {
	if !hasCapability(conn.Connected(), rpc.MethodRecording) {
		return errNoCast
	}
	l := &sessionLog{conn: conn, id: id}
	end, err := l.end(ctx) // first, so that all that is before has a time
	if err != nil {
		return err
	}
	p := castPrinter{
		inv: inv, log: l, entries: castEntries{conn: conn, id: id}, out: bufio.NewWriterSize(inv.stdout, 64<<10),
		output: castText{code: "o"}, input: castText{code: "i"},
	}
	if err := p.header(ctx); err != nil {
		return castError(err)
	}
	if err := p.print(ctx, end); err != nil {
		return errors.Join(err, p.out.Flush())
	}
	return p.out.Flush()
}

// castError explains the error of the first request for the recording.
func castError(err error) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	data, _ := e.Data.(rpc.Data)
	switch {
	case e.Code == rpc.CodeInvalidParams:
		return errNotOnPTY
	case e.Code == rpc.CodeNotRunning && data["kind"] == "not_recorded":
		return errNoTimes
	}
	return err
}

// header prints the header, with the oldest size that is known.
func (p *castPrinter) header(ctx context.Context) error {
	first, err := p.entries.page(ctx)
	if err != nil {
		return err
	}
	start, err := time.Parse(time.RFC3339Nano, first.Start)
	if err != nil {
		return err
	}
	h := castHeader{Version: 2, Width: 80, Height: 24, Timestamp: start.Unix(), Env: map[string]string{"TERM": first.Term}}
	for i, e := range first.Entries {
		if e.Type == rpc.RecordedResize {
			h.Width, h.Height = e.Cols, e.Rows
			p.entries.list = append(first.Entries[:i:i], first.Entries[i+1:]...)
			break
		}
	}
	if first.InputTruncated {
		if _, err := fmt.Fprintln(p.inv.stderr, "runnel: there was more input than the server keeps"); err != nil {
			return err
		}
	}
	return p.line(h)
}

// print prints the events up to a position of the log.
func (p *castPrinter) print(ctx context.Context, end int64) error {
	for after := int64(0); after < end; {
		res, err := p.log.read(ctx, after, end-after, rpc.Seconds{Set: true})
		if err != nil {
			return err
		}
		for _, e := range res.Events {
			out, gap, err := decodeEvent(e)
			switch {
			case err != nil:
			case gap != nil:
				err = p.gap(gap)
			case out != nil:
				err = p.piece(ctx, out, end)
			}
			if err != nil {
				return err
			}
		}
		if res.Done || len(res.Events) == 0 {
			break
		}
		after = res.LastSeq
	}
	if err := p.advance(ctx, end); err != nil {
		return err
	}
	if err := p.text(&p.output, nil, true); err != nil {
		return err
	}
	return p.text(&p.input, nil, true)
}

// piece prints a piece of output, divided where its time changes. Where bytes were replaced by U+FFFD, it
// is longer than in the log, and the end of it is printed with the last time.
func (p *castPrinter) piece(ctx context.Context, out *logOutput, end int64) error {
	data, at := out.until(end), out.seq-out.length
	for len(data) > 0 {
		if err := p.advance(ctx, at); err != nil {
			return err
		}
		n := int64(len(data))
		next, ok, err := p.entries.peek(ctx)
		if err != nil {
			return err
		}
		if ok && next.Seq < out.seq {
			n = min(n, next.Seq-at)
		}
		if err := p.text(&p.output, data[:n], false); err != nil {
			return err
		}
		data, at = data[n:], at+n
	}
	return nil
}

// advance takes the entries of the recording up to a position of the log.
func (p *castPrinter) advance(ctx context.Context, to int64) error {
	for {
		e, ok, err := p.entries.peek(ctx)
		if err != nil || !ok || e.Seq > to {
			return err
		}
		p.entries.list = p.entries.list[1:]
		p.time = max(p.time, e.Time)
		switch e.Type {
		case rpc.RecordedResize:
			err = p.event("r", fmt.Sprintf("%dx%d", e.Cols, e.Rows))
		case rpc.RecordedInput:
			data := []byte(e.Data)
			if e.Encoding == rpc.EncodingBase64 {
				if data, err = base64.StdEncoding.DecodeString(e.Data); err != nil {
					return err
				}
			}
			err = p.text(&p.input, data, false)
		}
		if err != nil {
			return err
		}
	}
}

// gap reports lost output, in the asciicast as a marker.
func (p *castPrinter) gap(g *rpc.Gap) error {
	if err := p.text(&p.output, nil, true); err != nil {
		return err
	}
	lost := fmt.Sprintf("%d bytes of output are not kept", g.LostBytes)
	if _, err := fmt.Fprintln(p.inv.stderr, "runnel: "+lost); err != nil {
		return err
	}
	return p.event("m", lost)
}

// castText is text of one kind of events. An event has no part of a character.
type castText struct {
	code string // of the events
	rest []byte // the beginning of a character
}

// text prints data, except for the beginning of a character at its end unless it is the last. What is not
// UTF-8 becomes U+FFFD.
func (p *castPrinter) text(t *castText, data []byte, last bool) error {
	data = append(t.rest, data...)
	n := len(data)
	for i := max(0, n-utf8.UTFMax+1); i < len(data) && !last; i++ {
		if utf8.RuneStart(data[i]) && !utf8.FullRune(data[i:]) {
			n = i
			break
		}
	}
	t.rest = bytes.Clone(data[n:])
	if n == 0 {
		return nil
	}
	return p.event(t.code, string(data[:n]))
}

// event prints an event at the current time.
func (p *castPrinter) event(code, text string) error {
	return p.line([]any{json.Number(strconv.FormatFloat(p.time, 'f', 6, 64)), code, text})
}

func (p *castPrinter) line(v any) error {
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// castEntries are the entries of a recording. One page of them is in memory.
type castEntries struct {
	conn  *client.Client
	id    string
	list  []rpc.RecordingEntry
	after int64
	done  bool // there are no more pages
}

// page gets the next page.
func (c *castEntries) page(ctx context.Context) (res rpc.RecordingResult, err error) {
	err = c.conn.CallIdempotent(ctx, rpc.MethodRecording, rpc.RecordingParams{SessionID: c.id, After: c.after}, &res)
	c.list, c.after, c.done = res.Entries, res.Next, res.Next == 0
	return res, err
}

// peek returns the next entry, which is the first one of list.
func (c *castEntries) peek(ctx context.Context) (e rpc.RecordingEntry, ok bool, err error) {
	for len(c.list) == 0 && !c.done {
		if _, err := c.page(ctx); err != nil {
			return e, false, err
		}
	}
	if len(c.list) == 0 {
		return e, false, nil
	}
	return c.list[0], true, nil
}
