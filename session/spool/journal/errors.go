package journal

import "errors"

var (
	// ErrDamaged is an entry or a segment whose checksum or length is wrong.
	ErrDamaged = errors.New("journal: damaged")
	// ErrErased is an entry that was erased.
	ErrErased = errors.New("journal: erased")
	// ErrNotFound is a position or a segment that the journal does not have, or no longer.
	ErrNotFound = errors.New("journal: not found")
	// ErrTooLarge is an entry or an Append beyond its bounds.
	ErrTooLarge = errors.New("journal: too large")
	// ErrType is an entry of a type that cannot be appended.
	ErrType = errors.New("journal: unknown type of entry")
	// ErrCurrent is returned by Remove for the segment to which entries are appended.
	ErrCurrent = errors.New("journal: segment is in use")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("journal: closed")
	// ErrStarted is returned by Scan if it is called again, or after Append or NewSegment.
	ErrStarted = errors.New("journal: scan must be the first call")
)
