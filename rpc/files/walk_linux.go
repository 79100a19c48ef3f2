package files

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// walker is a Walk in progress.
type walker struct {
	task    *task
	options WalkOptions
	result  WalkResult
	queue   []walkedDirectory
	seen    map[fileID]bool // directories that are or were in the queue
	looked  int             // entries
	bytes   int             // of the paths in result, see MaxListedBytes
	full    bool            // a path had no room in result
}

type walkedDirectory struct {
	path  string // for the caller
	real  string // without symbolic links
	depth int
}

func idOf(st *unix.Stat_t) fileID { return fileID{st.Dev, st.Ino} }

// walk lists a directory and those below it.
func (t *task) walk(p Path, options WalkOptions) (WalkResult, error) {
	e, err := t.resolve(p, true)
	if err != nil {
		return WalkResult{}, err
	}
	defer e.close()
	if err := e.needExists(); err != nil {
		return WalkResult{}, of(p.Name, err)
	}
	if !e.is(unix.S_IFDIR) || e.link && !options.FollowDirectories {
		return WalkResult{}, nil
	}
	if err := t.view.need(e.path, sandbox.Read); err != nil {
		return WalkResult{}, of(p.Name, err)
	}
	w := &walker{task: t, options: options, seen: map[fileID]bool{idOf(&e.st): true}}
	w.queue = []walkedDirectory{{path: strings.TrimSuffix("/"+strings.Join(components(p.Name), "/"), "/"), real: e.path}}
	for read := 0; len(w.queue) > 0; read++ {
		if read == options.MaxDirectories {
			w.result.Truncated = true
			break
		}
		next := w.queue[0]
		w.queue = w.queue[1:]
		full, err := w.directory(&next)
		if stop := t.check(); stop != nil {
			return WalkResult{}, stop
		}
		if err != nil && read == 0 {
			return WalkResult{}, of(p.Name, unlocated(err))
		}
		if err != nil {
			w.failed(next.path, unlocated(err))
		}
		if full || w.full {
			w.result.Truncated = true
			break
		}
	}
	return w.result, nil
}

// directory reads one directory. It returns true if MaxEntries does not permit to look at all of it.
func (w *walker) directory(dir *walkedDirectory) (full bool, err error) {
	d, e, err := w.task.openDirectory(Path{Name: dir.real, NoFollow: true})
	if err != nil {
		return false, err
	}
	defer d.Close()
	defer e.close()
	if proc, err := isProc(int(d.Fd())); err != nil || proc {
		return false, errInProc
	}
	names, err := w.task.names(d, w.options.MaxEntries-w.looked)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if w.looked == w.options.MaxEntries {
			return true, nil
		}
		if w.full {
			return true, nil
		}
		w.looked++
		if w.task.check() != nil {
			return false, nil
		}
		w.entry(d, dir, name)
	}
	return false, nil
}

var errInProc error = &Error{Kind: ErrForbidden, Rule: "the server", Detail: "a proc file system is not walked or copied"}

// entry reports an entry of a directory, and puts a directory into the queue.
func (w *walker) entry(d *os.File, dir *walkedDirectory, name string) {
	path, real := dir.path+"/"+name, join(dir.real, name)
	if max(len(path), len(real)) > MaxPathBytes { // no request could name it
		w.result.Truncated = true
		return
	}
	if w.task.view.look(real) != nil {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err != unix.ENOENT { // else it was removed meanwhile
			w.failed(path, failure("", err))
		}
		return
	}
	if w.task.view.isHidden(&st) {
		return
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		if !w.options.FollowDirectories {
			return
		}
		e, err := w.task.resolve(Path{Name: real}, true)
		if err != nil {
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrForbidden) {
				w.failed(path, unlocated(err))
			}
			return
		}
		e.close()
		if !e.is(unix.S_IFDIR) {
			return
		}
		st, real = e.st, e.path
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFDIR || !w.room(len(path)) {
		return
	}
	w.result.Entries = append(w.result.Entries, WalkEntry{Path: path, Directory: kind == unix.S_IFDIR})
	if kind != unix.S_IFDIR || dir.depth >= w.options.MaxDepth || w.options.SkipHidden && strings.HasPrefix(name, ".") || w.seen[idOf(&st)] {
		return
	}
	w.seen[idOf(&st)] = true
	w.queue = append(w.queue, walkedDirectory{path: path, real: real, depth: dir.depth + 1})
}

// room takes room for so many bytes of paths in the result. Once there is not enough, the walk ends.
func (w *walker) room(n int) bool {
	if w.full || w.bytes+n > w.task.pool.o.listedBytes {
		w.full = true
		return false
	}
	w.bytes += n
	return true
}

// failed reports why a directory or an entry is missing.
func (w *walker) failed(path string, err error) {
	if w.room(2 * len(path)) {
		w.result.Errors = append(w.result.Errors, walkFailed(path, err))
	}
}
