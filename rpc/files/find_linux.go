package files

import (
	"errors"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// newView resolves the paths of an Access, with the rights of the calling thread.
func (t *task) newView(a *Access) (*view, error) {
	v, err := newView(a, t.find)
	if err == nil {
		t.addHidden(v, a.Hidden)
		t.addReadOnly(v, a.ReadOnly)
	}
	if stop := t.check(); stop != nil { // paths were not found because of it
		return nil, stop
	}
	if t.ruleLookups > maxRuleLookups {
		return nil, tooLarge("", "the paths of all rules together have more than %d names, with those of symbolic links", maxRuleLookups)
	}
	return v, err
}

// find finds what the path of a rule leads to.
func (t *task) find(path string) sandbox.Found {
	if t.ruleLookups > maxRuleLookups {
		return sandbox.Found{}
	}
	r := &resolver{task: t, cur: directory{fd: -1}}
	e, err := r.run(path, true)
	t.ruleLookups += r.lookups
	found := sandbox.Found{Links: r.linkDirs}
	if err == nil {
		found.Path = e.path
		e.close()
		return found
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotDirectory) {
		found.Above = r.cur.path
	}
	return found
}
