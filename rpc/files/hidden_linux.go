package files

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// maxHiddenEntries is how many entries a hidden directory may have for the files in it to be recognized by their
// identity.
const maxHiddenEntries = 256

var errHidden error = &Error{Kind: ErrForbidden, Rule: "the server", Invisible: true}

// addHidden adds what Access.Hidden hides to a view: the paths, and what they lead to. A path that cannot be
// resolved is hidden as it is written. It has the rights of the calling thread.
func (t *task) addHidden(v *view, paths []string) {
	if len(paths) == 0 {
		return
	}
	v.hidden.ids = make(map[fileID]bool)
	config := &sandbox.Config{FilesDefault: sandbox.Write}
	for _, path := range paths {
		config.Hidden = append(config.Hidden, path)
		if t.ruleLookups > maxRuleLookups {
			break // the caller returns the error
		}
		r := &resolver{task: t, cur: directory{fd: -1}}
		e, err := r.run(path, true)
		t.ruleLookups += r.lookups
		if err != nil {
			continue
		}
		config.Hidden = append(config.Hidden, e.path)
		if e.exists {
			v.hidden.ids[idOf(&e.st)] = true
		}
		if e.is(unix.S_IFDIR) {
			v.hidden.directories = append(v.hidden.directories, e.path)
		}
		e.close()
	}
	v.sets = append([]ruleSet{{rule: "the server", config: config}}, v.sets...)
}

// isHidden reports whether a file is one of Access.Hidden, or directly in one, whatever its path is. The
// directories are read only for files that have several hard links. A nil view hides nothing.
func (v *view) isHidden(st *unix.Stat_t) bool {
	if v == nil || len(v.hidden.ids) == 0 {
		return false
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
		v.hidden.read()
	}
	return v.hidden.ids[idOf(st)]
}

// read adds the files in the hidden directories, once.
func (h *hiddenFiles) read() {
	for _, path := range h.directories {
		h.add(path)
	}
	h.directories = nil
}

// add adds the files in a directory, unless there are too many.
func (h *hiddenFiles) add(path string) {
	fd, err := openAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil { // who may not read it cannot open the files in it either
		return
	}
	d := os.NewFile(uintptr(fd), path)
	defer d.Close()
	names, err := readNames(d, maxHiddenEntries+1)
	if err != nil || len(names) > maxHiddenEntries {
		return
	}
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			h.ids[idOf(&st)] = true
		}
	}
}

// needVisible returns an *Error if an open file is hidden.
func (t *task) needVisible(fd int) error {
	if len(t.view.hidden.ids) == 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failure("", err)
	}
	if t.view.isHidden(&st) {
		return errHidden
	}
	return nil
}
