package process

import "sync"

// tally is what a tree holds beside its leader, and what is counted there of the whole tree.
type tally struct {
	// count puts what was counted into the leader's exit, and free gives back what counted; nil for neither.
	count func(*Exit)
	free  func()

	mu      sync.Mutex
	settled bool
	exit    Exit
}

// settle completes the leader's exit, once.
func (t *tally) settle(e Exit) Exit {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.settled {
		t.settled, t.exit = true, e
		if t.count != nil {
			t.count(&t.exit)
		}
	}
	return t.exit
}

// close ends the counting.
func (t *tally) close() {
	t.mu.Lock()
	free := t.free
	t.count, t.free = nil, nil
	t.mu.Unlock()
	if free != nil {
		free()
	}
}
