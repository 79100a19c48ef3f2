package server

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// list replies with a page of the sessions that are visible to the caller. next is the Created of
// the last session of a page, so a page does not depend on the sessions of another one, and the
// server keeps no state.
func list(r *request, p *rpc.ListParams) answer {
	before, err := listBefore(p.After)
	if err != nil {
		return result(nil, err)
	}
	r.auditList(p.Principal)
	return result(lazyResult(func() []byte { return r.conn.page(p, before) }), nil)
}

// listBefore returns before which Created a page begins, for the next of an earlier page. 0 is now.
func listBefore(next string) (before int64, err *rpc.Error) {
	if next == "" {
		return 0, nil
	}
	before, bad := strconv.ParseInt(next, 10, 64)
	if bad != nil || before <= 0 {
		return 0, rpc.InvalidParams("after", "after must be the next of an earlier list")
	}
	return before, nil
}

// page returns a result of list: the newest matching sessions that were created before that time,
// up to the limit of the client and as many as fit into a message.
func (c *conn) page(p *rpc.ListParams, before int64) []byte {
	pg := listPages.Get().(*listPage)
	defer pg.recycle()
	pg.conn, pg.params = c, p
	pg.text = append(pg.text, `{"sessions":[`...)
	for !pg.full {
		batch, err := c.listBefore(p, before, pg.batch())
		pg.incomplete = pg.incomplete || err != nil
		if len(batch) == 0 {
			break
		}
		before = batch[len(batch)-1].Created()
		for _, s := range batch {
			if pg.add(s); pg.full {
				break
			}
		}
	}
	pg.end()
	return bytes.Clone(pg.text)
}

// listBefore returns the next n sessions that are visible to the caller, of one principal if it is not
// "". They include all with the state that is asked for.
func (c *conn) listBefore(p *rpc.ListParams, before int64, n int) ([]*session.Session, error) {
	caller, sessions, principal := c.identity(), c.server.sessions, p.Principal
	scope := session.AllSessions
	if p.State != "" && p.State != session.Ended.String() {
		scope = session.InMemory
	}
	switch {
	case principal != "" && !c.server.visible(caller, principal):
		return nil, nil
	case principal == "" && caller.Role == access.Run:
		principal = caller.Principal
	case principal == "":
		visible := func(owner string) bool { return c.server.visible(caller, owner) }
		return sessions.ListOwnersBefore(visible, before, n, scope)
	}
	return sessions.ListBefore(principal, before, n, scope)
}

// listPage is a page that is being made. It is used again, since a page with a buffer and an
// encoder for each session would be half a megabyte of garbage for a hundred of them.
type listPage struct {
	text    []byte
	encoder *json.Encoder // appends to text
	status  rpc.SessionStatus

	conn      *conn
	params    *rpc.ListParams
	count     int64
	last      int64 // the Created of the last session
	full      bool  // there is another matching session
	truncated bool  // it did not fit into the message

	incomplete bool // sessions on the disk could not be read
}

var listPages = sync.Pool{New: func() any {
	pg := new(listPage)
	pg.encoder = plainEncoder(pg)
	return pg
}}

// batch returns how many sessions are taken from the registry next. Each that only the spool has is read
// from the disk.
func (pg *listPage) batch() int {
	p := pg.params
	if p.Limit == nil || p.State != "" || len(p.Labels) > 0 {
		return session.ListBatch
	}
	return int(min(*p.Limit-pg.count+1, session.ListBatch)) // one more tells whether there is a next page
}

// Write implements io.Writer for the encoder.
func (pg *listPage) Write(b []byte) (int, error) {
	pg.text = append(pg.text, b...)
	return len(b), nil
}

// recycle gives the page to a later list, unless its text was large.
func (pg *listPage) recycle() {
	if cap(pg.text) <= keepBuffer {
		*pg = listPage{text: pg.text[:0], encoder: pg.encoder}
		listPages.Put(pg)
	}
}

// add appends a session if it matches. The first one always fits: see statusText.
func (pg *listPage) add(s *session.Session) {
	if !matches(s.Spec().Labels, pg.params.Labels) {
		return
	}
	v := s.View()
	if pg.params.State != "" && pg.params.State != v.State.String() {
		return
	}
	if limit := pg.params.Limit; limit != nil && pg.count >= *limit {
		pg.full = true
		return
	}
	before := len(pg.text)
	if pg.count > 0 {
		pg.text = append(pg.text, ',')
	}
	pg.status = pg.conn.status(s, &v)
	pg.addStatus()
	if pg.count > 0 && len(pg.text)+pageEndBytes > rpc.MaxFrameBytes-maxReplyOverhead {
		pg.text = pg.text[:before]
		pg.full, pg.truncated = true, true
		return
	}
	pg.count++
	pg.last = s.Created()
}

// addStatus appends the JSON of the status.
func (pg *listPage) addStatus() {
	before := len(pg.text)
	if err := pg.encoder.Encode(&pg.status); err != nil {
		panic(err)
	}
	pg.text = pg.text[:len(pg.text)-len("\n")]
	if len(pg.text)-before > maxStatusBytes {
		pg.text = append(pg.text[:before], statusText(pg.status)...)
	}
}

// pageEndBytes is an upper bound of the JSON of a page without its sessions.
const pageEndBytes = 128

func (pg *listPage) end() {
	pg.text = append(pg.text, ']')
	if pg.full {
		pg.text = append(strconv.AppendInt(append(pg.text, `,"next":"`...), pg.last, 10), '"')
	}
	if pg.truncated {
		pg.text = append(pg.text, `,"truncated":true`...)
	}
	if pg.incomplete {
		pg.text = append(pg.text, `,"incomplete":true`...)
	}
	pg.text = append(pg.text, '}')
}

func matches(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
