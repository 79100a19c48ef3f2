package pgroup

import (
	"errors"
	"sync"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

var errStarting = errors.New("a process descends from a child of this process that is being started")

// tags are the tags of trees, by the process id of the leader, until the tree is closed.
type tags struct {
	mu      sync.Mutex
	leaders map[int]any
	pending int // forks in progress, whose child may exist
}

func (t *tags) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending++
}

// forked is called with the result of the fork.
func (t *tags) forked(pid int, tag any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending--
	if err == nil {
		t.setLocked(pid, tag)
	}
}

// set sets the tag of a process that the leader replaces, or that is an ancestor of processes of the
// tree.
func (t *tags) set(pid int, tag any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setLocked(pid, tag)
}

func (t *tags) setLocked(pid int, tag any) {
	if t.leaders == nil {
		t.leaders = make(map[int]any)
	}
	t.leaders[pid] = tag
}

func (t *tags) remove(pid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.leaders, pid)
}

// of returns the tag of the first process of the chain that is a leader, or in the process group or
// the kernel session of one.
func (t *tags) of(a *proctable.Ancestry) (tag any, found bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range a.Chain {
		for _, leader := range []int{e.Group, e.Session, e.PID} {
			if tag, found = t.leaders[leader]; found {
				return tag, true, nil
			}
		}
	}
	if a.OfThis && t.pending > 0 {
		return nil, false, errStarting
	}
	return nil, false, nil
}

// TagOf returns the tag of the tree in whose process group or kernel session the process or an
// ancestor is. A process that has called setsid(2), and whose parent has exited, is not found.
func (p *Provider) TagOf(a *proctable.Ancestry) (tag any, m containment.Membership, err error) {
	tag, found, err := p.tags.of(a)
	switch {
	case err != nil:
		return nil, containment.NoMember, err
	case found:
		return tag, containment.Proven, nil
	}
	return p.forker.tagOf(a)
}
