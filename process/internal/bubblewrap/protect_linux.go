package bubblewrap

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// loaderFiles decide what is loaded into bwrap and other programs, outside of the sandbox (ld.so(8)).
var loaderFiles = []string{"/etc/ld.so.preload", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"}

// Protected returns the files that no command in a sandbox can change, apart from Config.ReadOnly: bwrap,
// which is at path or, if that is "", in PATH, this program, and what decides what is loaded into them. They
// need not exist.
func Protected(path string) []string {
	all := slices.Clone(loaderFiles)
	if path == "" {
		path, _ = exec.LookPath("bwrap")
	}
	if filepath.IsAbs(path) {
		all = append(all, path)
	}
	if own, err := os.Executable(); err == nil {
		all = append(all, own)
	}
	return all
}

// protected returns what nobody in a sandbox may change: bwrap, this program, and what decides what is
// loaded into them, since they are executed outside of the sandbox; and ReadOnly. The paths have no
// symbolic links.
func (c *Config) protected() (paths []string) {
	if !c.writable() {
		return nil
	}
	for _, path := range slices.Concat([]string{c.Program.link(), "/proc/self/exe"}, loaderFiles, c.ReadOnly) {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		for err == unix.EACCES { // the command may be able to change that
			path = filepath.Dir(path)
			fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			continue
		}
		real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && strings.HasPrefix(real, "/") && !slices.Contains(paths, real) {
			paths = append(paths, real)
		}
		_ = unix.Close(fd)
	}
	return paths
}

// withProtected adds read-only mounts for what is protected, where a command could write to it. What a
// rule makes inaccessible remains so. A file that does not exist cannot be protected. list is sorted
// by the length of the paths. mounts may be nil if nothing is writable.
func (c *Config) withProtected(ctx context.Context, list []mount, protected []string, mounts []procfs.Mount, own owner) ([]mount, error) {
	for _, path := range protected {
		if err := ended(ctx, stepPrepare); err != nil {
			return nil, err
		}
		others, err := procfs.OtherPaths(mounts, path)
		if err != nil {
			return nil, &Error{Step: stepPrepare, Err: fmt.Errorf("protect %s: %w", path, err)}
		}
		for _, at := range append([]string{path}, others...) {
			if above := lastAt(list, at); above == nil || above.kind != bindWrite {
				continue
			}
			fd, err := own(openNoLinks(at))
			switch {
			case isMissing(err):
				continue
			case err != nil:
				return nil, &Error{Step: stepPrepare, Err: fmt.Errorf("protect %s: %w", at, err)}
			case slices.ContainsFunc(c.Binds, func(b Bind) bool { return b.Path == at }):
				return nil, &sandbox.PathError{Path: at, Err: errProtected}
			}
			list = append(list, mount{path: at, kind: bindRead, fd: fd})
		}
	}
	sortByLength(list)
	return list, nil
}

// writable reports whether a rule permits to write.
func (c *Config) writable() bool {
	return slices.ContainsFunc(c.Binds, func(b Bind) bool { return b.Access == sandbox.Write })
}

// lastAt is lastAbove, or the mount at the path itself.
func lastAt(list []mount, path string) *mount {
	if i := slices.IndexFunc(list, func(m mount) bool { return m.path == path }); i >= 0 {
		return &list[i]
	}
	return lastAbove(list, path)
}

func openNoLinks(path string) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	return unix.Openat2(unix.AT_FDCWD, path, &how)
}
