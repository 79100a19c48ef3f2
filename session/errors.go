package session

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound says that the caller has no session of that id.
	ErrNotFound = errors.New("session not found")
	// ErrExists says that another execute took this id.
	ErrExists = errors.New("session exists with another command")
	// ErrCanceled is why a session did not run that was ended during its start.
	ErrCanceled = errors.New("canceled before it was started")
	// ErrLeft says that the command itself has exited, while its descendants keep the session running.
	ErrLeft = errors.New("the command itself has exited")
	// errDiscarded is why a session did not start that was given up before.
	errDiscarded = errors.New("discarded")
	// ErrShuttingDown says that the registry takes no new sessions.
	ErrShuttingDown = errors.New("shutting down")
)

// LimitError says that Limit sessions run already.
type LimitError struct{ Limit, Running int }

func (e *LimitError) Error() string {
	return fmt.Sprintf("%d of %d sessions run", e.Running, e.Limit)
}

// StateError says that a session's state does not allow what was asked.
type StateError struct{ State State }

func (e *StateError) Error() string { return "session is " + e.State.String() }

// StdinError says why stdin takes no more.
type StdinError struct{ Why string }

func (e *StdinError) Error() string { return "stdin is closed: " + e.Why }

// OffsetError says that a write left a hole: it begins at Offset, and stdin has only Accepted bytes.
type OffsetError struct{ Offset, Accepted int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("offset %d lies beyond the %d bytes accepted", e.Offset, e.Accepted)
}
