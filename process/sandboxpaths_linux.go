package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

const (
	// maxLinks is how many symbolic links a path may have, as in the kernel (path_resolution(7)).
	maxLinks = 40
	// maxLinkNames bounds the names in the targets of the links of one path, each of which may have 2048. So
	// a command that makes links reaches maxSteps only with 78 paths of a profile.
	maxLinkNames = 256
	// maxSteps bounds the names that are looked up for all paths of a start together.
	maxSteps = 20_000
	// maxPath is the longest path of something that is mounted: bwrap puts another one before it, and
	// PATH_MAX is 4096.
	maxPath = 4000
)

// errTooManyNames is why a path is not searched any more.
var errTooManyNames error = &sandbox.Reason{Errno: unix.ELOOP, Text: fmt.Sprintf(
	"its symbolic links lead through too many names: at most %d for one path, and %d for all paths of a start", maxLinkNames, maxSteps)}

// finder finds what the paths of rules lead to, with the rights of the thread, which are those of the
// user. So nobody learns from a rule what the user must not know.
//
// A rule that permits nothing may be for what the user may make accessible later. So where the user
// may not search a directory, the rules of the operator are followed with the rights of this process,
// and those of a request only if the directory belongs to the user. What else they name is unseen.
//
// The end of ctx ends the search: then nothing is found. So does maxSteps, which refuses the start. A path
// with more than maxLinkNames leads nowhere, and refuses the start only if a request has named it: a
// command may have made the links at a path of a profile, and must not stop all starts.
type finder struct {
	ctx      context.Context
	uid      uint32         // of the user
	dir      *execfile.File // the working directory
	dirName  string         // its absolute name, "" if it is unknown
	dirLinks *followed      // the links in dirName; nil if they are not known yet
	changed  bool           // dirName does not lead to dir any more
	failed   error          // of the system, and not of a path
	steps    int            // names that were looked up
	refused  error          // a *sandbox.PathError with errTooManyNames, nil for none
	mounts   []procfs.Mount // nil if they were not read yet
	all      map[finding]found
	unseen   map[string]bool // by the paths of rules
}

// finding is what is asked for: the path of a rule, whether the rule permits nothing, and whether a
// request has named it.
type finding struct {
	path      string
	none, own bool
}

type found struct {
	sandbox.Found
	unseen bool
}

// followed are the directories of symbolic links, and their other paths by mounts.
type followed struct{ links, aliases []string }

// newFinder returns a finder for a command with a working directory, which was opened by a name.
func newFinder(ctx context.Context, user *User, dir *execfile.File, dirName string) *finder {
	f := &finder{ctx: ctx, uid: uint32(unix.Geteuid()), dir: dir, all: make(map[finding]found), unseen: make(map[string]bool)}
	if user != nil {
		f.uid = user.UID
	}
	if wd, err := os.Getwd(); err == nil && !filepath.IsAbs(dirName) { // the base of relative rules, too
		dirName = wd + "/" + dirName
	}
	if filepath.IsAbs(dirName) && !strings.Contains(dirName+"/", "/../") {
		f.dirName = filepath.Clean(dirName)
	}
	return f
}

// find is for Config.Resolved. It finds a path once, whoever changes links meanwhile.
func (f *finder) find(r *sandbox.Rule, own bool) sandbox.Found {
	key := finding{r.Path, r.Access == sandbox.None, own}
	result, ok := f.all[key]
	if !ok {
		result = f.lookup(key)
		f.all[key] = result
	}
	if result.unseen {
		f.unseen[r.Path] = true
	}
	return result.Found
}

// lookup finds a path. What is in the working directory is in the one that was opened.
func (f *finder) lookup(key finding) found {
	rest, in := strings.CutPrefix(key.path, strings.TrimSuffix(f.dirName, "/"))
	if f.dirName == "" || !in || rest != "" && rest[0] != '/' {
		w := walk{finder: f, finding: key, fd: -1}
		defer w.close()
		w.run(key.path)
		return w.found()
	}
	if f.dirLinks == nil {
		w := walk{finder: f, fd: -1}
		defer w.close()
		w.run(f.dirName)
		f.dirLinks, f.changed = &w.followed, !w.is(f.dir)
	}
	fd, err := unix.FcntlInt(uintptr(f.dir.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		f.failed = err
		return found{}
	}
	w := walk{finder: f, finding: key, fd: fd, followed: followed{slices.Clip(f.dirLinks.links), slices.Clip(f.dirLinks.aliases)}}
	defer w.close()
	w.run("." + rest)
	return w.found()
}

// walk is the resolution of one path.
type walk struct {
	*finder
	finding
	followed
	fd       int    // what was reached, O_PATH; -1 at the beginning and after an error
	missing  string // the name in it that does not exist
	above    string // the directory that was reached, if what is in it cannot be
	elevated bool   // with the rights of this process
	unseen   bool
}

func (w *walk) run(path string) {
	if w.ctx.Err() != nil {
		w.close()
		return
	}
	if w.direct(path) {
		return
	}
	if path[0] == '/' && !w.enter(openPath("/", 0)) {
		return
	}
	todo := strings.Split(path, "/")
	for links, names := 0, 0; len(todo) > 0; {
		if w.ctx.Err() != nil {
			w.close()
			return
		}
		if w.steps++; w.steps > maxSteps {
			w.refuse()
			return
		}
		name := todo[0]
		todo = todo[1:]
		if name == "" || name == "." {
			continue
		}
		if w.missing != "" {
			w.close()
			return
		}
		fd, err := w.open(name)
		if err == unix.ENOENT {
			w.missing = name
			continue
		}
		if err != nil && err != unix.ENOTDIR && !w.unseen {
			w.above = w.reached()
		}
		target, isLink := "", false
		if err == nil {
			target, isLink, err = readLink(fd)
		}
		if !isLink {
			if !w.enter(fd, err) {
				return
			}
			continue
		}
		_ = unix.Close(fd)
		if links++; links > maxLinks || !w.follow() {
			w.close()
			return
		}
		next := strings.Split(target, "/")
		if names += len(next); names > maxLinkNames {
			if w.close(); w.own {
				w.refuse()
			}
			return
		}
		if target[0] == '/' && !w.enter(openPath("/", 0)) {
			w.close()
			return
		}
		todo = slices.Concat(next, todo)
	}
}

// refuse ends the walk, and refuses the start if it is the first one that does.
func (w *walk) refuse() {
	if w.close(); w.refused == nil {
		w.refused = &sandbox.PathError{Path: w.path, Err: errTooManyNames}
	}
}

// follow adds the directory that was reached to those of the links.
func (w *walk) follow() bool {
	dir := w.reached()
	if dir == "" {
		return false
	}
	var aliases []string
	var err error
	if w.mounts == nil {
		asProcess(func() { w.mounts, err = procfs.OwnMounts() })
	}
	if err == nil {
		aliases, err = procfs.Aliases(w.mounts, w.fd, dir)
	}
	if err != nil {
		w.failed = err
	}
	w.links, w.aliases = append(w.links, dir), append(w.aliases, aliases...)
	return err == nil
}

// direct is run for a path that has no symbolic links, which most have not, and exists.
func (w *walk) direct(path string) bool {
	at := w.fd
	if at < 0 {
		at = unix.AT_FDCWD
	}
	fd, err := openPathAt(at, path, unix.RESOLVE_NO_SYMLINKS)
	return err == nil && w.enter(fd, nil)
}

// enter replaces what was reached, and reports whether there was no error.
func (w *walk) enter(fd int, err error) bool {
	w.close()
	switch {
	case err == nil:
		w.fd = fd
	case err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOMEM:
		w.failed = err
	case fd >= 0:
		_ = unix.Close(fd)
	}
	return err == nil
}

func (w *walk) close() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
		w.fd = -1
	}
}

// open opens a file in the directory that was reached, and no symbolic link.
func (w *walk) open(name string) (fd int, err error) {
	open := func() {
		for {
			if fd, err = unix.Openat(w.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != unix.EINTR {
				return
			}
		}
	}
	open()
	if err != unix.EACCES || !w.none {
		return fd, err
	}
	var st unix.Stat_t
	if w.own && (unix.Fstat(w.fd, &st) != nil || st.Uid != w.uid) {
		w.unseen = true
		return fd, err
	}
	w.elevated = true
	asProcess(open)
	return fd, err
}

// asProcess runs f with the rights of this process, on another thread.
func asProcess(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// readLink returns where a symbolic link leads. Links of procfs, which lead elsewhere than their text
// says, are ELOOP.
func readLink(fd int) (target string, isLink bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", false, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", false, err
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return "", false, unix.ELOOP
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err == nil && n <= 0 {
		err = unix.ENOENT
	}
	return string(buf[:max(n, 0)]), err == nil, err
}

// reached returns the path of what was reached. There is none if it was moved or removed meanwhile: then
// the start fails, since a command can do that for a moment.
func (w *walk) reached() (path string) {
	if w.elevated {
		asProcess(func() { path = pathOf(w.fd) })
	} else {
		path = pathOf(w.fd)
	}
	if path == "" && w.failed == nil {
		w.failed = unix.EAGAIN
	}
	return path
}

func (w *walk) found() found {
	path := ""
	if w.fd >= 0 {
		path = w.reached()
	}
	if path == "" {
		return found{Found: sandbox.Found{Above: w.above, Links: w.links, Aliases: w.aliases}, unseen: w.unseen}
	}
	path = filepath.Join(path, w.missing)
	if len(path) > maxPath {
		return found{Found: sandbox.Found{Above: shortened(path), Links: w.links, Aliases: w.aliases}}
	}
	return found{Found: sandbox.Found{Path: path, Links: w.links, Aliases: w.aliases}}
}

// shortened returns the last directory above a path that is not longer than maxPath.
func shortened(path string) string {
	for len(path) > maxPath {
		path = filepath.Dir(path)
	}
	return path
}

// is reports whether a file was reached.
func (w *walk) is(f *execfile.File) bool {
	var st unix.Stat_t
	return w.fd >= 0 && w.missing == "" && unix.Fstat(w.fd, &st) == nil && st.Dev == f.Info.Dev && st.Ino == f.Info.Ino
}

// pathOf returns the path of an open file, "" if it has none that leads to it.
func pathOf(fd int) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil || !strings.HasPrefix(path, "/") {
		return ""
	}
	var opened, named unix.Stat_t
	switch err := unix.Lstat(path, &named); {
	case err == unix.EACCES: // it was reached, but a directory above it may not be searched any more
	case err != nil || unix.Fstat(fd, &opened) != nil || opened.Dev != named.Dev || opened.Ino != named.Ino:
		return ""
	}
	return path
}
