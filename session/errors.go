package session

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound means that the owner has no session with that id.
	ErrNotFound = errors.New("session not found")
	// ErrExists means that the owner has a session with that id and other params.
	ErrExists = errors.New("session exists with other params")
	// ErrCanceled means that the end of a session was requested before its command ran.
	ErrCanceled = errors.New("canceled before it was started")
	// ErrLeaderExited means that the command has exited while its descendants keep the session
	// running.
	ErrLeaderExited = errors.New("the command has exited")
	// errDiscarded means that Discard was called instead of Begin.
	errDiscarded = errors.New("discarded")
	// ErrShuttingDown means that the registry accepts no new sessions.
	ErrShuttingDown = errors.New("shutting down")
)

// NameError means that a session of the owner which has not ended has the name of a new one.
type NameError struct{ Name, ID string }

func (e *NameError) Error() string { return "the session " + e.ID + " has the name " + e.Name }

// StateError means that the state of a session does not permit an operation.
type StateError struct{ State State }

func (e *StateError) Error() string { return "session is " + e.State.String() }

// NotEndedError means that a session has not ended.
type NotEndedError struct{ State State }

func (e *NotEndedError) Error() string { return "session has not ended: it is " + e.State.String() }

// StdinError means that stdin accepts no more input.
type StdinError struct{ Why string }

func (e *StdinError) Error() string { return "stdin is closed: " + e.Why }

// OffsetError means that a write would leave a gap: it begins at Offset, beyond the Accepted bytes
// of stdin, or of its writer.
type OffsetError struct{ Offset, Accepted int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("offset %d is beyond the %d bytes accepted", e.Offset, e.Accepted)
}
