package files

import (
	"math"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// SandboxRule is Error.Rule of what Access.Sandbox forbids.
const SandboxRule = "sandbox.files"

// Access is what a caller may do with files. The zero value permits all that this process may do,
// apart from the files of its own process in /proc. It is not changed while it is used.
type Access struct {
	// Roots are the only files that may be used, if Restricted is set. Nothing else is visible but the
	// directories that lead to them.
	Roots      []Root
	Restricted bool
	// Rule is what the errors name that Roots cause: the key of a policy.
	Rule string
	// Sandbox, if not nil, is the sandbox of the request. Its Files, FilesDefault, Tmp, Hidden and Floor
	// are enforced as for a command: a rule applies to what its path leads to. If they cannot be, the
	// error is that of sandbox.Config.Resolved, not an *Error; sandbox.Config.Locate makes one about the
	// request of it. Directories that rules would make (sandbox.Create) are not made.
	Sandbox *sandbox.Config
	// SandboxHint is added to the errors that Sandbox causes, "" for none.
	SandboxHint string
	// MaxFileBytes is the largest size that a file gets by a write or a copy, in bytes; nil is no limit. A
	// larger one is ErrTooLarge. A file that is larger already can be read, removed and truncated.
	MaxFileBytes *int64
	// Hidden are files and directories that nobody may use, as those of the server. They are hidden by their
	// paths, and by what they lead to under any path that it has. The files directly in a hidden directory are
	// recognized under another path, too, unless it has more than 256 entries.
	Hidden []string
	// ReadOnly are files and directories that nobody may change, as those on which the server depends.
	// They are protected by their paths, also where nothing exists, by the symbolic links on these, and
	// by what they lead to, under any path that it has. Nothing is removed that leads to one of them.
	ReadOnly []string
	// As runs f with the rights of the user for all calls of the file system, and returns an error if
	// it did not run it: the Files method of a process.User. Nil is the user of this process.
	As func(f func()) error
}

// Root is a directory, or a file, that may be used.
type Root struct {
	Path   string // absolute; symbolic links in it are followed when it is used
	Access sandbox.Access
}

// check returns an *Error if there are too many roots.
func (a *Access) check() error {
	if len(a.Roots) > MaxRoots || len(a.Hidden) > MaxRoots || len(a.ReadOnly) > MaxRoots {
		return tooLarge("", "at most %d roots, %d hidden and %d read-only paths", MaxRoots, MaxRoots, MaxRoots)
	}
	return nil
}

// run runs f as the user.
func (a *Access) run(f func()) error {
	if a.As == nil {
		f()
		return nil
	}
	if err := a.As(f); err != nil {
		return &Error{Kind: ErrPermission, Detail: "the server cannot use the rights of the user of the policy"}
	}
	return nil
}

// maxFileBytes returns the largest size of a file that is written.
func (a *Access) maxFileBytes() int64 {
	if a.MaxFileBytes == nil {
		return math.MaxInt64
	}
	return *a.MaxFileBytes
}

// fileTooLarge returns the error of a file that would exceed Access.MaxFileBytes.
func fileTooLarge(path string, limit int64) error {
	return tooLarge(path, "file_bytes permits files of at most %d bytes", limit)
}
