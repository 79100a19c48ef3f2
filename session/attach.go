package session

import (
	"slices"

	"github.com/runnel-rpc/runnel/stream"
)

// AttachOptions configure an attachment.
type AttachOptions struct {
	Cursor stream.CursorOptions
	// Passive makes an attachment that only watches: it does not keep the session alive, Take of
	// another attachment does not detach it, and its end does not end the session. The caller sets
	// no Block in Cursor, so that it does not make the session wait either.
	Passive bool
	// OnDetached, if not nil, is called when Take of another attachment has detached this one, or
	// the start of the session has failed. It may be called before Attach returns.
	OnDetached func()
}

// Attachment attaches a connection to a session: it reads the log, and while it exists it keeps the
// session alive. Its methods may be called concurrently, except Next and Release.
type Attachment struct {
	session    *Session
	cursor     *stream.Cursor
	passive    bool
	onDetached func()
	detached   bool // protected by Session.update
}

// Attach attaches a connection to the session. The caller must call Detach or Disconnect.
func (s *Session) Attach(o AttachOptions) *Attachment {
	o.Cursor.Watch = o.Passive // whoever only watches does not slow down the output
	a := &Attachment{session: s, passive: o.Passive, onDetached: o.OnDetached, cursor: s.log.NewCursor(o.Cursor)}
	s.update(func(st *sessionStatus) {
		if a.passive {
			st.watching = append(st.watching, a)
			return
		}
		st.attached = append(st.attached, a)
		s.hold(st)
	})
	return a
}

// Next returns the next item of the log: see [stream.Cursor.Next].
func (a *Attachment) Next() (stream.Item, bool) { return a.cursor.Next() }

// Release ends the use of the newest item's data: see [stream.Cursor.Release].
func (a *Attachment) Release() { a.cursor.Release() }

// Ack acknowledges output: see [stream.Cursor.Ack].
func (a *Attachment) Ack(seq int64) { a.cursor.Ack(seq) }

// Take detaches all other attachments that are not passive, and calls their OnDetached. If a itself
// is detached already, it has no effect, so one attachment remains after two concurrent calls.
func (a *Attachment) Take() {
	s := a.session
	var others []*Attachment
	s.update(func(st *sessionStatus) {
		if !a.detached && !a.passive {
			others = s.detachAll(st, a)
		}
	})
	reportDetached(others)
	s.reg.evictIfWaiting()
}

// detachAll detaches all attachments but one and the passive ones, and returns them for
// reportDetached.
func (s *Session) detachAll(st *sessionStatus, but *Attachment) (others []*Attachment) {
	for _, o := range st.attached {
		if o != but {
			o.detached = true
			others = append(others, o)
		}
	}
	st.attached = slices.DeleteFunc(st.attached, func(x *Attachment) bool { return x.detached })
	for range others {
		s.release(st)
	}
	return others
}

// detachWatching detaches the passive attachments, and returns them for reportDetached.
func (st *sessionStatus) detachWatching() (all []*Attachment) {
	all, st.watching = st.watching, nil
	for _, a := range all {
		a.detached = true
	}
	return all
}

func reportDetached(all []*Attachment) {
	for _, a := range all {
		a.cursor.Close()
		if a.onDetached != nil {
			a.onDetached()
		}
	}
}

// Detach detaches the connection without ending the session. If there is no other hold, Spec.Linger
// starts. Only the first call of Detach or Disconnect has an effect.
func (a *Attachment) Detach() { a.detach(false) }

// Disconnect detaches a connection that was lost. If it was the last attachment, the session ends,
// unless Spec.Keep is set.
func (a *Attachment) Disconnect() { a.detach(true) }

func (a *Attachment) detach(lost bool) {
	a.cursor.Close()
	s := a.session
	ends := lost && !s.spec.Keep && !a.passive
	hasExited := ends && s.hasExited()
	s.update(func(st *sessionStatus) {
		if a.detached {
			return
		}
		a.detached = true
		if a.passive {
			st.watching = slices.DeleteFunc(st.watching, func(x *Attachment) bool { return x == a })
			return
		}
		st.attached = slices.DeleteFunc(st.attached, func(x *Attachment) bool { return x == a })
		if ends && len(st.attached) == 0 {
			s.requestEnd(st, Disconnected, s.spec.Grace, hasExited)
		}
		s.release(st)
	})
	s.reg.evictIfWaiting()
}
