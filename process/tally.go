package process

import "sync"

// tally is what a tree holds beside its leader, and what is counted there of the whole tree.
type tally struct {
	mu     sync.Mutex
	estate *estate // nil for nothing
	exit   *Exit   // once settled
}

// settle completes the leader's exit, once.
func (t *tally) settle(e Exit) Exit {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exit == nil {
		t.exit = &e
		if t.estate != nil {
			t.estate.account(t.exit)
		}
	}
	return *t.exit
}

// doubt notes that somebody of the tree may live on.
func (t *tally) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.estate != nil {
		t.estate.doubt()
	}
}

// close ends the counting.
func (t *tally) close() {
	t.mu.Lock()
	e := t.estate
	t.estate = nil
	t.mu.Unlock()
	if e != nil {
		e.release()
	}
}
