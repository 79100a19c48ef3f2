package process

import "sync"

// tally is what a tree holds beside its leader, and what is counted there of the whole tree.
type treeUsage struct {
	mu        sync.Mutex
	resources *treeResources // nil for nothing
	exit      *Exit          // once settled
}

// settle completes the leader's exit, once.
func (t *treeUsage) settle(e Exit) Exit {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exit == nil {
		t.exit = &e
		if t.resources != nil {
			t.resources.account(t.exit)
		}
	}
	return *t.exit
}

// doubt notes that somebody of the tree may live on.
func (t *treeUsage) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resources != nil {
		t.resources.doubt()
	}
}

// close ends the counting.
func (t *treeUsage) close() {
	t.mu.Lock()
	e := t.resources
	t.resources = nil
	t.mu.Unlock()
	if e != nil {
		e.release()
	}
}
