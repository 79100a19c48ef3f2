package server

import (
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// Sessions is all that the server knows of where sessions are. [Local] has them in this process; others may
// have them on other machines. Its methods may be called concurrently; their errors are those of package
// session.
type Sessions interface {
	// Reserve takes a slot for a session that is then started. If the owner has the same one already, it
	// returns that and false.
	Reserve(session.Spec) (s Session, created bool, err error)
	// Find returns the owner's session of that id, or session.ErrNotFound.
	Find(owner, id string) (Session, error)
	// ListBefore returns at most n of the owner's started sessions that were created before that, newest first; 0 is
	// now. No two have the same Created.
	ListBefore(owner string, created int64, n int) []Session
	// Drain takes no more sessions; the channel is closed when none runs.
	Drain() <-chan struct{}
	Draining() bool
}

// Session is one of them. See [session.Session] for what its methods do.
type Session interface {
	ID() string
	Created() int64
	Spec() *session.Spec
	Begin()
	StartMayWait() bool
	AfterStart(f func()) (willCall bool)
	Discard()
	Attach(session.AttachOptions) Attachment
	Cursor(stream.CursorOptions) Cursor
	Hold() (release func())
	Pause() error
	Resume() error
	Signal(syscall.Signal) (missed []int, err error)
	SignalLeader(syscall.Signal) error
	Resize(rows, cols int) error
	End(cause session.Cause, grace *time.Duration)
	Cancel(grace *time.Duration, by syscall.Signal)
	Write(data []byte, offset *int64, eof bool) *session.Write
	Withdraw(*session.Write) bool
	Ready() <-chan struct{}
	Done() <-chan struct{}
	View() session.View
	Input() session.Input
	Capture(oldest, newest int64) stream.Capture
}

// Attachment is a connection's hold on a session.
type Attachment interface {
	// Next takes what comes next of the session's log, as stream.Cursor.Next does.
	Next() (stream.Item, bool)
	// Ack opens the window up to what was consumed.
	Ack(seq int64)
	// Take detaches all others.
	Take()
	// Detach ends the attachment because the connection wants no more.
	Detach()
	// Drop ends the attachment because the connection is gone.
	Drop()
}

// Cursor reads a session's log, as stream.Cursor does.
type Cursor interface {
	NextUpTo(n int64) (stream.Item, bool)
	Pending() bool
	Advance(seq int64)
	Seq() int64
	Close()
}

// Local is the sessions of a registry in this process.
type Local struct{ *session.Registry }

// Reserve is the registry's.
func (l Local) Reserve(spec session.Spec) (Session, bool, error) {
	s, created, err := l.Registry.Reserve(spec)
	if err != nil {
		return nil, false, err
	}
	return local{s}, created, nil
}

// Find is the registry's.
func (l Local) Find(owner, id string) (Session, error) {
	s, err := l.Registry.Find(owner, id)
	if err != nil {
		return nil, err
	}
	return local{s}, nil
}

// ListBefore is the registry's.
func (l Local) ListBefore(owner string, created int64, n int) []Session {
	all := l.Registry.ListBefore(owner, created, n)
	list := make([]Session, len(all))
	for i, s := range all {
		list[i] = local{s}
	}
	return list
}

type local struct{ *session.Session }

func (l local) Attach(o session.AttachOptions) Attachment { return l.Session.Attach(o) }

func (l local) Cursor(o stream.CursorOptions) Cursor { return l.Session.Cursor(o) }
