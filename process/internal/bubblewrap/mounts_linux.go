package bubblewrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// kind is what is mounted at a path.
type kind int

const (
	bindRead      kind = iota // a file or directory of the server, read-only
	bindWrite                 // the same, writable
	anchor                    // a directory that is writable anyway: as a mount point it cannot be renamed
	coverDir                  // an empty directory that cannot be read
	replica                   // a directory where only what is mounted is visible, see withReplicas
	beside                    // a file or directory of the server in a replica, read-only
	coverFile                 // a device file that cannot be opened
	scratch                   // an empty directory for everybody
	devices                   // /dev
	processes                 // /proc
	processesRead             // the same, read-only
	outerProc                 // /proc of the server, read-only
	directory                 // made in an empty directory
	symlink
)

// mount is one operation of bwrap.
type mount struct {
	path   string
	kind   kind
	fd     int    // of a bind; -1 for none, then the path itself is the source
	target string // of a symlink
	below  bool   // something below it is visible
	rule   bool   // it is that of a Bind
	mode   uint32 // of replica
	size   int64  // of scratch, in bytes; 0 for the default
}

// empty reports whether below a mount only what is mounted there is visible.
func (m *mount) empty() bool {
	switch m.kind {
	case coverDir, coverFile, scratch, devices:
		return true
	}
	return false
}

// tmpDirs are the directories of which a sandbox has its own, if its scope is Private.
var tmpDirs = []string{"/tmp", "/var/tmp"}

// shm is where POSIX shared memory is, which belongs to the IPC namespace.
const shm = "/dev/shm"

// layout returns the mounts of a sandbox in the order in which they are made: each after those above
// it. The mount of a path is the last one at that path. Nothing makes what is protected writable. The
// end of ctx ends it.
func (c *Config) layout(ctx context.Context, protected []string, own owner) ([]mount, error) {
	mounts, err := c.mounts()
	if err != nil {
		return nil, err
	}
	hidden, none, err := c.aliases(ctx, mounts)
	if err != nil {
		return nil, err
	}
	hidden = append(hidden, c.Hidden...)
	var list []mount
	if c.Sandbox.FilesDefault != sandbox.None {
		list = append(list, mount{path: "/", kind: bindRead, fd: -1})
	}
	for _, b := range c.Binds {
		if err := refuse(&b, hidden); err != nil {
			return nil, err
		}
		list = append(list, b.mount())
	}
	list = append(list, c.system(list)...)
	covered, err := covers(append(none, hidden...))
	if err != nil {
		return nil, err
	}
	list = append(list, covered...)
	if c.Sandbox.FilesDefault == sandbox.None {
		for _, l := range c.Links {
			list = append(list, mount{path: l.Path, kind: symlink, target: l.Target})
		}
	}
	if len(list) > maxMounts {
		return nil, errTooMany()
	}
	sortByLength(list)
	if list, err = c.withProtected(ctx, effective(list), protected, mounts, own); err != nil {
		return nil, err
	}
	if list, err = c.withReplicas(ctx, list, own); err != nil {
		return nil, err
	}
	if list, err = anchored(list); err != nil {
		return nil, err
	}
	return reachable(list)
}

// sortByLength sorts mounts so that each is after those above it.
func sortByLength(list []mount) {
	slices.SortStableFunc(list, func(a, b mount) int { return cmp.Compare(len(a.path), len(b.path)) })
}

// refuse returns why a bind cannot be enforced.
func refuse(b *Bind, hidden []string) error {
	switch {
	case b.Access == sandbox.None && neverCovered(b.Path):
		return &sandbox.PathError{Path: b.Path, Err: errNeeded}
	case b.Access == sandbox.None:
		return nil
	case b.Access == sandbox.Write && (sandbox.Below(b.Path, "/proc") || sandbox.Below(b.Path, "/sys")):
		return &sandbox.PathError{Path: b.Path, Err: errReadOnly}
	}
	for _, h := range hidden {
		if sandbox.Below(b.Path, h) {
			return &sandbox.PathError{Path: b.Path, Err: unix.EACCES}
		}
	}
	return nil
}

func (b *Bind) mount() mount {
	m := mount{path: b.Path, fd: b.FD, rule: true}
	switch {
	case b.Access == sandbox.Write:
		m.kind = bindWrite
	case b.Access == sandbox.Read:
		m.kind = bindRead
	case b.Dir:
		m.kind, m.fd = coverDir, -1
	default:
		m.kind, m.fd = coverFile, -1
	}
	return m
}

// system returns the mounts that do not depend on rules, except that a rule None for a temporary
// directory is stronger. list are the mounts for the rules.
func (c *Config) system(list []mount) []mount {
	none := func(path string) bool {
		return slices.ContainsFunc(list, func(m mount) bool { return m.path == path && m.empty() })
	}
	more := []mount{{path: "/dev", kind: devices}}
	switch {
	case c.Sandbox.Processes == sandbox.Shared:
		more = append(more, mount{path: "/proc", kind: outerProc})
	case c.Superuser: // it owns files there, and their modes are those of all mounts of proc
		more = append(more, mount{path: "/proc", kind: processesRead})
	default:
		more = append(more, mount{path: "/proc", kind: processes})
	}
	if !none(shm) {
		more = append(more, mount{path: shm, kind: scratch, size: c.TmpBytes})
	}
	if c.Sandbox.Tmp == sandbox.Private {
		for _, dir := range tmpDirs {
			if !none(dir) && (c.Sandbox.FilesDefault == sandbox.None || isDir(dir)) {
				more = append(more, mount{path: dir, kind: scratch, size: c.TmpBytes})
			}
		}
	}
	if slices.ContainsFunc(list, func(m mount) bool { return m.path == "/" && m.kind == bindWrite }) && isDir("/sys") {
		more = append(more, mount{path: "/sys", kind: bindRead, fd: -1})
	}
	return more
}

// isDir is false for a symbolic link to a directory, too: what it leads to has its own rules.
func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// covers returns what is mounted over paths that are hidden. For a path that cannot be reached it is
// the last directory that can be: the command may be able to change that.
func covers(paths []string) (list []mount, err error) {
	for _, path := range paths {
		info, err := os.Lstat(path)
		for err != nil && !isMissing(err) && path != "/" {
			path = filepath.Dir(path)
			info, err = os.Lstat(path)
		}
		switch {
		case isMissing(err):
		case err != nil || neverCovered(path):
			return nil, &Error{Step: stepPrepare, Err: errUnreachable}
		case info.IsDir():
			list = append(list, mount{path: path, kind: coverDir})
		default:
			list = append(list, mount{path: path, kind: coverFile})
		}
	}
	return list, nil
}

// isMissing reports whether an error means that there is nothing at a path.
func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

var errUnreachable = errors.New("something that is never accessible cannot be reached, nor a directory above it")

// effective removes the mounts that would have no effect or no mount point. list is sorted by the
// length of the paths.
func effective(list []mount) (kept []mount) {
	last := make(map[string]int, len(list)) // the last mount at a path
	for i := range list {
		if list[i].kind != symlink {
			last[list[i].path] = i
		}
	}
	for i := range list {
		m := list[i]
		if j, ok := last[m.path]; ok && j > i {
			continue // covered
		}
		above := lastAbove(kept, m.path)
		nothing := above == nil || above.empty()
		switch {
		case nothing && (m.kind == coverDir || m.kind == coverFile): // there is nothing to cover
			continue
		case m.kind == symlink && !nothing: // it exists already
			continue
		case m.kind == bindRead && above != nil && (above.kind == processes || above.kind == processesRead || above.kind == outerProc):
			continue // what is readable there is decided by the kernel
		}
		if above != nil {
			above.below = true
		}
		kept = append(kept, m)
	}
	return kept
}

// arguments returns the arguments of bwrap for the mounts. number returns which descriptor bwrap has
// for a descriptor of this process.
func arguments(mounts []mount, number func(fd int) int) (args []string) {
	var readOnly []string
	for i := range mounts {
		m := &mounts[i]
		args = append(args, m.arguments(number)...)
		switch m.kind {
		case coverDir, devices, replica, processesRead:
			readOnly = append(readOnly, m.path)
		}
	}
	if len(mounts) == 0 || mounts[0].path != "/" {
		readOnly = append(readOnly, "/")
	}
	for _, path := range readOnly { // at the end, since bwrap makes mount points there
		args = append(args, "--remount-ro", path)
	}
	return args
}

func (m *mount) arguments(number func(fd int) int) []string {
	switch m.kind {
	case bindRead, bindWrite, anchor, beside:
		flag, source := "--ro-bind", m.path
		if m.kind == bindWrite || m.kind == anchor {
			flag = "--bind"
		}
		if m.fd >= 0 {
			flag, source = flag+"-fd", strconv.Itoa(number(m.fd))
		}
		return []string{flag, source, m.path}
	case coverDir:
		mode := "0000"
		if m.below {
			mode = "0111"
		}
		return []string{"--perms", mode, "--tmpfs", m.path}
	case replica:
		return []string{"--perms", fmt.Sprintf("%04o", m.mode), "--tmpfs", m.path}
	case coverFile: // without nodev it could be opened
		return []string{"--ro-bind", "/dev/null", m.path}
	case scratch:
		args := []string{"--perms", "1777", "--tmpfs", m.path}
		if m.size > 0 {
			args = append([]string{"--size", strconv.FormatInt(m.size, 10)}, args...)
		}
		return args
	case devices:
		return []string{"--dev", m.path}
	case processes, processesRead:
		return []string{"--proc", m.path}
	case outerProc:
		return []string{"--ro-bind", m.path, m.path}
	case directory:
		return []string{"--perms", "0755", "--dir", m.path}
	case symlink:
		return []string{"--symlink", m.target, m.path}
	}
	return nil
}
