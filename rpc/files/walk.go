package files

import (
	"context"
	"errors"
	"fmt"
)

// WalkOptions bound a Walk. They must not exceed MaxWalkDepth, MaxWalkDirectories and MaxWalkEntries.
type WalkOptions struct {
	// MaxDepth is how many directories below the first one lead to one that is read; 0 reads only the
	// first one.
	MaxDepth       int
	MaxDirectories int // that are read, at least 1
	MaxEntries     int // that are looked at, at least 1
	// FollowDirectories reads directories to which symbolic links lead, each directory once.
	FollowDirectories bool
	// SkipHidden does not read directories below the first one whose names begin with a dot. They are
	// reported.
	SkipHidden bool
}

// WalkEntry is a directory or a regular file. Other files, and links that are not followed, are not
// reported.
type WalkEntry struct {
	Path      string // that of the request, and the names below it
	Directory bool
}

// WalkError is why a directory or an entry is missing in a Walk.
type WalkError struct {
	Path string
	Err  *Error
}

// WalkResult is what a Walk has found: the entries of the first directory, sorted by name, then those
// of the first directory in it, and so on level by level.
type WalkResult struct {
	Entries []WalkEntry
	Errors  []WalkError
	// Truncated is set if there is more than the options or MaxListedBytes permit, or a path is longer than
	// MaxPathBytes.
	Truncated bool
}

// Walk lists a directory and those below it. What is not a directory has no entries, and so has a
// symbolic link unless links are followed. A proc file system is not walked.
func (o *Owner) Walk(ctx context.Context, a *Access, p Path, options WalkOptions) (WalkResult, error) {
	if err := options.check(); err != nil {
		return WalkResult{}, named("Walk", p.Name, err)
	}
	return run(ctx, o, "Walk", o.pool.o.TreeTimeout, a, []Path{p}, func(t *task) (WalkResult, error) { return t.walk(p, options) }, nil)
}

func (o *WalkOptions) check() error {
	if o.MaxDepth < 0 || o.MaxDirectories < 1 || o.MaxEntries < 1 {
		return &Error{Kind: ErrInvalid, Detail: "the limits of a walk must be greater than zero"}
	}
	if o.MaxDepth > MaxWalkDepth || o.MaxDirectories > MaxWalkDirectories || o.MaxEntries > MaxWalkEntries {
		return tooLarge("", "the limits of a walk are at most: depth %d, directories %d, entries %d", MaxWalkDepth, MaxWalkDirectories, MaxWalkEntries)
	}
	return nil
}

// walkFailed returns the error about a path of a walk.
func walkFailed(path string, err error) WalkError {
	e, ok := errors.AsType[*Error](of(path, err))
	if !ok {
		e = &Error{Path: path, Kind: ErrIO, Detail: fmt.Sprint(err)}
	}
	e.Op = "Walk"
	return WalkError{Path: path, Err: e}
}
