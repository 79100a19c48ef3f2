package process

import (
	"errors"
	"fmt"
	"slices"
)

// endLeftovers ends the processes of trees that were given up on, or could not be inspected, when the host is closed. An
// error names those that live even then, or says that it could not be learned.
func (h *Host) endLeftovers() error {
	if !h.doubtful.Load() {
		return nil
	}
	if h.kind == Group {
		return errors.New("processes that outlived their session may still run: nothing tells which they are")
	}
	all := leftovers{markLister: markLister{func(mark uint64) bool { return instanceOf(mark) == h.instance.number }}}
	if h.subtree != nil {
		all.groups = append(all.groups, h.subtree.dir)
	}
	for _, dir := range h.v1 {
		all.groups = append(all.groups, dir)
	}
	killAll(all, killWait)
	var left []int
	err := all.each(func(m member) { left = append(left, m.PID) })
	if len(left) > 0 {
		slices.Sort(left)
		err = errors.Join(err, fmt.Errorf("processes of ended sessions still run: %d", left))
	}
	return err
}

// doubt notes that a process of the tree may still live when the tree is given back.
func (e *treeResources) doubt() {
	e.host.doubtful.Store(true)
	if b := e.host.table; b != nil {
		b.reaper.always.Store(true) // it may be an orphan that dies at any time
	}
}
