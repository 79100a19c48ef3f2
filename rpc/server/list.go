package server

import (
	"strconv"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// list replies with a page of the principal's sessions. next is the Created of the last session of
// a page, so a page does not depend on the sessions of another one, and the server keeps no state.
func list(r *request, p *rpc.ListParams) answer {
	before, err := listBefore(p.After)
	if err != nil {
		return result(nil, err)
	}
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
	pg := listPage{text: []byte(`{"sessions":[`), params: p}
	for !pg.full {
		batch := c.server.sessions.ListBefore(c.principal, before, session.ListBatch)
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
	return pg.end()
}

type listPage struct {
	text      []byte
	params    *rpc.ListParams
	count     int64
	last      int64 // the Created of the last session
	full      bool  // there is another matching session
	truncated bool  // it did not fit into the message
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
	st := statusText(sessionStatus(s, &v))
	if pg.count > 0 {
		if len(pg.text)+1+len(st)+pageEndBytes > rpc.MaxFrameBytes-maxReplyOverhead {
			pg.full, pg.truncated = true, true
			return
		}
		pg.text = append(pg.text, ',')
	}
	pg.text = append(pg.text, st...)
	pg.count++
	pg.last = s.Created()
}

// pageEndBytes is an upper bound of the JSON of a page without its sessions.
const pageEndBytes = 128

func (pg *listPage) end() []byte {
	pg.text = append(pg.text, ']')
	if pg.full {
		pg.text = append(strconv.AppendInt(append(pg.text, `,"next":"`...), pg.last, 10), '"')
	}
	if pg.truncated {
		pg.text = append(pg.text, `,"truncated":true`...)
	}
	return append(pg.text, '}')
}

func matches(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
