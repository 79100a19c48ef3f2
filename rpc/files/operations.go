package files

import "context"

// Metadata describes what a path leads to.
type Metadata struct {
	Directory, Regular bool
	Symlink            bool // the last component of the path is a symbolic link; the rest is about its target
	Size               int64
	// Created and Modified are in milliseconds since the epoch. Created is 0 if it is unknown.
	Created, Modified int64
}

// DirectoryEntry is an entry of a directory, or what it leads to if it is a symbolic link.
type DirectoryEntry struct {
	Name               string // need not be UTF-8
	Directory, Regular bool
}

// GetMetadata describes what a path leads to. The directories that lead to permitted files may be
// described, too.
func (o *Owner) GetMetadata(ctx context.Context, a *Access, p Path) (Metadata, error) {
	return run(ctx, o, "GetMetadata", o.pool.o.Timeout, a, []Path{p}, func(t *task) (Metadata, error) { return t.metadata(p) }, nil)
}

// Canonicalize returns the path of what a path leads to, without symbolic links.
func (o *Owner) Canonicalize(ctx context.Context, a *Access, p Path) (string, error) {
	return run(ctx, o, "Canonicalize", o.pool.o.Timeout, a, []Path{p}, func(t *task) (string, error) { return t.canonicalize(p) }, nil)
}

// ReadFile returns the content of a regular file of at most Options.MaxReadBytes bytes. Larger ones are
// read by Open and ReadBlock.
func (o *Owner) ReadFile(ctx context.Context, a *Access, p Path) ([]byte, error) {
	return run(ctx, o, "ReadFile", o.pool.o.Timeout, a, []Path{p}, func(t *task) ([]byte, error) { return t.readFile(p) }, nil)
}

// WriteFile truncates a regular file, or makes it with the permissions 0666 and the umask of this
// process, and writes data. It is not atomic: after an error the file may have a part of data. The
// caller must not change data afterwards: after ErrTimeout it may still be written.
func (o *Owner) WriteFile(ctx context.Context, a *Access, p Path, data []byte) error {
	return runOnly(ctx, o, "WriteFile", false, a, []Path{p}, func(t *task) error { return t.writeFile(p, data) })
}

// ReadDirectory lists a directory, sorted by name, without "." and "..". Entries of which nothing may be
// known, and links that lead nowhere, are left out. A directory with more than MaxDirectoryEntries
// entries, or whose names have more than MaxListedBytes bytes, is ErrTooLarge.
func (o *Owner) ReadDirectory(ctx context.Context, a *Access, p Path) ([]DirectoryEntry, error) {
	return run(ctx, o, "ReadDirectory", o.pool.o.Timeout, a, []Path{p}, func(t *task) ([]DirectoryEntry, error) { return t.readDirectory(p) }, nil)
}

// CreateDirectory makes a directory with the permissions 0777 and the umask of this process. If it is
// recursive, those above it are made too, and it is no error that it exists.
func (o *Owner) CreateDirectory(ctx context.Context, a *Access, p Path, recursive bool) error {
	return runOnly(ctx, o, "CreateDirectory", false, a, []Path{p}, func(t *task) error { return t.createDirectory(p, recursive) })
}

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	Recursive bool // a directory is removed with all in it; else it must be empty
	Force     bool // it is no error that the path does not exist
}

// Remove removes a file, a symbolic link or a directory. It never follows the last component, nor a link
// in a directory that it removes, and stays on one file system. Nothing is removed if a rule protects a
// file below the path. After another error a part may be removed. At most 1,000,000 entries are removed.
func (o *Owner) Remove(ctx context.Context, a *Access, p Path, options RemoveOptions) error {
	return runOnly(ctx, o, "Remove", true, a, []Path{p}, func(t *task) error { return t.remove(p, options) })
}

// Copy copies a regular file with its permissions, a symbolic link as such, or, if it is recursive, a
// directory with all in it. The destination of a file is replaced, that of a link must not exist, and a
// directory is merged into the one that exists. FIFOs, sockets and devices in a directory are left out.
// Set-user-ID, set-group-ID and sticky bits are not copied. At most 1,000,000 entries are copied.
func (o *Owner) Copy(ctx context.Context, a *Access, source, destination Path, recursive bool) error {
	return runOnly(ctx, o, "Copy", true, a, []Path{source, destination}, func(t *task) error { return t.copy(source, destination, recursive) })
}

// runOnly is run for an operation without a result. A tree has TreeTimeout.
func runOnly(ctx context.Context, o *Owner, op string, tree bool, a *Access, paths []Path, f func(t *task) error) error {
	limit := o.pool.o.Timeout
	if tree {
		limit = o.pool.o.TreeTimeout
	}
	_, err := run(ctx, o, op, limit, a, paths, func(t *task) (struct{}, error) { return struct{}{}, f(t) }, nil)
	return err
}
