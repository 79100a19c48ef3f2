package proctable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Ancestry is a process and its ancestors, as they were at one time between the call of AncestryOf
// and its return.
type Ancestry struct {
	// Chain is the process itself, followed by its parent and so on. It ends before this process,
	// at the first process of the PID namespace, or at a process whose parent is hidden.
	Chain []Entry
	// OfThis reports whether the last process of the chain is a child of this process.
	OfThis bool
}

// Process returns the entry of the process itself.
func (a *Ancestry) Process() Entry { return a.Chain[0] }

// Child returns the process id of the child of this process from which the process descends, or 0
// if it does not descend from this process.
func (a *Ancestry) Child() int {
	if !a.OfThis {
		return 0
	}
	return a.Chain[len(a.Chain)-1].PID
}

const (
	// maxAncestors bounds the length of a chain. A command could make a long one, to keep this
	// process busy: an ancestor takes 40 µs.
	maxAncestors = 256
	// maxAncestryReadings bounds how often a chain is read again since it has changed meanwhile.
	maxAncestryReadings = 8
)

var (
	errTooManyAncestors = fmt.Errorf("a process has more than %d ancestors", maxAncestors)
	errAncestorsChange  = errors.New("the ancestors of a process change with each reading")
)

// AncestryOf returns the ancestry of a process. The error is ESRCH if it does not exist or is
// hidden. Any other error means that the chain cannot be known.
func AncestryOf(pid int) (a Ancestry, err error) {
	for range maxAncestryReadings {
		stable, err := a.read(pid)
		if err != nil {
			return Ancestry{}, err
		}
		if stable {
			return a, nil
		}
	}
	return Ancestry{}, errAncestorsChange
}

// read is false if a process of the chain was reparented meanwhile. After the entry of each parent
// is read, its child is read again: if that still has this parent, the parent has lived until then,
// and its process id was not reused.
func (a *Ancestry) read(pid int) (stable bool, err error) {
	*a = Ancestry{}
	own := os.Getpid()
	e, err := lookup(pid)
	if err != nil {
		return false, err
	}
	if e.Start == 0 {
		return false, syscall.ESRCH
	}
	for len(a.Chain) < maxAncestors {
		a.Chain = append(a.Chain, e)
		if e.Parent == own {
			a.OfThis = true
			return true, nil
		}
		if e.Parent == 0 {
			return true, nil
		}
		parent, err := lookup(e.Parent)
		if err != nil {
			return false, err
		}
		now, err := lookup(e.PID)
		if err != nil {
			return false, err
		}
		if now.Start != e.Start || now.Parent != e.Parent {
			return false, nil
		}
		if parent.Start == 0 { // it is hidden, as it has not ended
			return true, nil
		}
		e = parent
	}
	return false, errTooManyAncestors
}
