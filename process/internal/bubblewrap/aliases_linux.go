package bubblewrap

import (
	"context"
	"errors"
	"slices"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// A cover is at one path. If another mount shows the same file, or a part of the same directory, that
// is visible there. So what is hidden is covered under all of its paths.

// mounts reads which mounts there are if something depends on that.
func (c *Config) mounts() ([]procfs.Mount, error) {
	byRules := slices.ContainsFunc(c.Binds, func(b Bind) bool { return b.Access == sandbox.None })
	if len(c.Hidden) == 0 && !byRules && !c.writable() {
		return nil, nil
	}
	mounts, err := procfs.OwnMounts()
	if err != nil {
		return nil, &Error{Step: stepPrepare, Err: err}
	}
	return mounts, nil
}

// aliases returns the other paths of what is hidden, and of what a rule makes inaccessible unless
// another rule is for that path.
func (c *Config) aliases(ctx context.Context, mounts []procfs.Mount) (hidden, none []string, err error) {
	for _, path := range c.Hidden {
		if err := ended(ctx, stepPrepare); err != nil {
			return nil, nil, err
		}
		paths, err := procfs.OtherPaths(mounts, path)
		if err == nil && slices.ContainsFunc(paths, neverCovered) {
			err = errors.New("it is the root directory of another mount")
		}
		if err != nil { // the path is not that of a client
			return nil, nil, &sandbox.NotEnforceableError{Field: "files", Why: "what is never accessible: " + err.Error()}
		}
		hidden = append(hidden, paths...)
	}
	for _, b := range c.Binds {
		if err := ended(ctx, stepPrepare); err != nil {
			return nil, nil, err
		}
		if b.Access != sandbox.None {
			continue
		}
		paths, err := procfs.OtherPaths(mounts, b.Path)
		if err == nil && slices.ContainsFunc(paths, neverCovered) {
			err = errNeeded
		}
		if err != nil {
			return nil, nil, &sandbox.PathError{Path: b.Path, Err: err}
		}
		for _, path := range paths {
			if !slices.ContainsFunc(c.Binds, func(other Bind) bool { return other.Path == path }) {
				none = append(none, path)
			}
		}
	}
	return hidden, none, nil
}

// neverCovered reports whether a directory cannot be covered, since nothing would work without it.
func neverCovered(path string) bool { return path == "/" || path == "/proc" || path == "/dev" }
