package session

import "github.com/runnel-rpc/runnel/stream"

// Attachment is one connection's hold on a session: its cursor on the log, and its vote on whether the
// session has anybody left.
type Attachment struct {
	session *Session
	cursor  *stream.Cursor
}

// Attach adds a connection to the session. The attachment is in use until dropped.
func (s *Session) Attach(o stream.CursorOptions) *Attachment {
	s.update(func(st *status) { st.attached++ })
	return &Attachment{session: s, cursor: s.log.NewCursor(o)}
}

// Next takes what comes next of the session's log, as [stream.Cursor.Next] does.
func (a *Attachment) Next() (stream.Item, bool) { return a.cursor.Next() }

// Drop ends the attachment of a connection that is gone. The last one to go ends the session. It is called
// once.
func (a *Attachment) Drop() {
	a.cursor.Close()
	a.session.update(func(st *status) {
		st.attached--
		if st.attached == 0 {
			a.session.end(st, Disconnected, a.session.spec.Grace)
		}
	})
}
