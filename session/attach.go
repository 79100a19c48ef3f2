package session

import (
	"slices"

	"github.com/runnel-rpc/runnel/stream"
)

// AttachOptions say how a connection attaches to a session.
type AttachOptions struct {
	Cursor stream.CursorOptions
	// Evicted, if not nil, is called when another attachment has taken the session for itself, or the session
	// has failed to start. It may be called before Attach returns.
	Evicted func()
}

// Attachment is one connection's hold on a session: its cursor on the log, and its vote on whether the
// session has anybody left. Its methods may be called concurrently, but for Next with itself.
type Attachment struct {
	session *Session
	cursor  *stream.Cursor
	evicted func()
	gone    bool // belongs to the session's lock
}

// Attach adds a connection to the session. The attachment is in use until detached or dropped.
func (s *Session) Attach(o AttachOptions) *Attachment {
	a := &Attachment{session: s, evicted: o.Evicted, cursor: s.log.NewCursor(o.Cursor)}
	s.update(func(st *status) {
		st.attached = append(st.attached, a)
		s.hold(st)
	})
	return a
}

// Next takes what comes next of the session's log, as [stream.Cursor.Next] does.
func (a *Attachment) Next() (stream.Item, bool) { return a.cursor.Next() }

// Ack opens the window, as [stream.Cursor.Ack] does.
func (a *Attachment) Ack(seq int64) { a.cursor.Ack(seq) }

// Take detaches all other attachments. One that was taken from itself meanwhile takes nothing: of two that take at
// once, one stays.
func (a *Attachment) Take() {
	s := a.session
	var others []*Attachment
	s.update(func(st *status) {
		if !a.gone {
			others = s.evictAll(st, a)
		}
	})
	tellEvicted(others)
	s.reg.relieve()
}

// evictAll takes all attachments but one off the session, and returns them. They are to be told.
func (s *Session) evictAll(st *status, but *Attachment) (others []*Attachment) {
	for _, o := range st.attached {
		if o != but {
			o.gone = true
			others = append(others, o)
		}
	}
	st.attached = slices.DeleteFunc(st.attached, func(x *Attachment) bool { return x.gone })
	for range others {
		s.release(st)
	}
	return others
}

func tellEvicted(all []*Attachment) {
	for _, a := range all {
		a.cursor.Close()
		if a.evicted != nil {
			a.evicted()
		}
	}
}

// Detach ends the attachment. It never ends the session: linger begins where nobody is left. Once it is
// detached or dropped, neither does anything more.
func (a *Attachment) Detach() { a.leave(false) }

// Drop ends the attachment of a connection that is gone. The last one to go ends the session, unless that is
// to be kept.
func (a *Attachment) Drop() { a.leave(true) }

func (a *Attachment) leave(dropped bool) {
	a.cursor.Close()
	s := a.session
	ends := dropped && !s.spec.Keep
	over := ends && s.isOver()
	s.update(func(st *status) {
		if a.gone {
			return
		}
		a.gone = true
		st.attached = slices.DeleteFunc(st.attached, func(x *Attachment) bool { return x == a })
		if ends && len(st.attached) == 0 {
			s.end(st, Disconnected, s.spec.Grace, over)
		}
		s.release(st)
	})
	s.reg.relieve()
}
