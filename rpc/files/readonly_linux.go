package files

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

var errReadOnly error = &Error{Kind: ErrForbidden, Rule: "the server", Detail: "the server depends on it: it is read-only"}

// addReadOnly adds what Access.ReadOnly protects to a view: the paths, the symbolic links on them, without
// which they would lead elsewhere, and what they lead to. It has the rights of the calling thread, so it may
// find less than there is; then the paths are protected as they are written.
func (t *task) addReadOnly(v *view, paths []string) {
	if len(paths) == 0 {
		return
	}
	v.readOnly = make(map[fileID]bool)
	var all []string
	for _, path := range paths {
		all = append(all, path)
		if t.ruleLookups > maxRuleLookups {
			break // the caller returns the error
		}
		r := &resolver{task: t, cur: directory{fd: -1}}
		e, err := r.run(path, true)
		t.ruleLookups += r.lookups
		all = append(all, r.linkPaths...)
		if err != nil {
			continue
		}
		all = append(all, e.path)
		if e.exists {
			v.readOnly[idOf(&e.st)] = true
		}
		e.close()
	}
	slices.Sort(all)
	config := &sandbox.Config{FilesDefault: sandbox.Write}
	for _, path := range slices.Compact(all) {
		config.Files = append(config.Files, sandbox.Rule{Path: path, Access: sandbox.Read})
	}
	v.sets = append(v.sets, ruleSet{rule: "the server", config: config})
}

// isReadOnly reports whether a file is one of Access.ReadOnly. A nil view has none.
func (v *view) isReadOnly(st *unix.Stat_t) bool { return v != nil && v.readOnly[idOf(st)] }

// needChangeable returns an *Error if an entry is one of Access.ReadOnly or in one, whatever its path is.
func (t *task) needChangeable(e *entry) error {
	if e.dir.readOnly || e.exists && t.view.isReadOnly(&e.st) {
		return errReadOnly
	}
	return nil
}

// needChangeableDirectory is needChangeable for an open directory of a tree.
func (t *task) needChangeableDirectory(d *os.File) error {
	if len(t.view.readOnly) == 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return failure("", err)
	}
	if t.view.isReadOnly(&st) {
		return errReadOnly
	}
	return nil
}
