package process

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// marker is containment by a mark that every descendant inherits; see brood.
type marker struct {
	memberTree
	table *childTable
	mark  uint64
}

func newMarker(g *group, b *childTable, mark uint64, terminal bool) *marker {
	return &marker{memberTree: memberTree{group: g, lister: markedBy(mark), terminal: terminal}, table: b, mark: mark}
}

func (m *marker) Kind() Containment { return Marker }

// Alive spares the reading of the process table where the leader lives, or this process has no orphans of it. Who
// forks and ends all the time may be missed by a reading, but not among the orphans.
func (m *marker) Alive() (bool, error) {
	if !m.leader.exited() { // before the look, or its children come to us behind that
		return true, nil
	}
	orphans, certain, err := m.table.orphansMarked(m.mark)
	if err != nil {
		return true, err
	}
	if certain || len(orphans) > 0 {
		return len(orphans) > 0, nil
	}
	pids, err := m.Members()
	return len(pids) > 0, err
}

func (m *marker) Members() ([]int, error) {
	for range quietRounds {
		over := m.leader.exited()
		orphans, certain, err := m.table.orphansMarked(m.mark)
		if err != nil {
			return nil, err
		}
		if certain && len(orphans) == 0 && over {
			return nil, nil
		}
		all, err := m.memberTree.Members()
		if len(all) > 0 || err != nil {
			return all, err
		}
		if len(orphans) > 0 {
			return orphans, nil
		}
	}
	return nil, nil
}

// markLister is the roster of all whose mark is wanted.
type markLister struct{ wanted func(mark uint64) bool }

// markedBy is the roster of all that bear one mark.
func markedBy(mark uint64) markLister { return markLister{func(m uint64) bool { return m == mark }} }

func (b markLister) each(f func(member)) error { return eachMarked(b.wanted, f) }

func (b markLister) send(m member, sig syscall.Signal) error {
	return proctable.Signal(m, sig, func(member) (bool, error) { return b.holds(m.PID) })
}

// holds says whether a process bears a mark that is wanted; one that is gone does not.
func (b markLister) holds(pid int) (bool, error) {
	mark, err := readMark(pid)
	if fdreserve.Exhausted(err) {
		return false, err
	}
	return err == nil && mark != 0 && b.wanted(mark), nil
}

// eachMarked calls f for every process that lives and whose mark is wanted, but never for this one.
func eachMarked(wanted func(mark uint64) bool, f func(member)) error {
	own := syscall.Getpid()
	return procfs.EachPID(func(pid int) error {
		if pid == own {
			return nil
		}
		if is, err := (markLister{wanted}).holds(pid); !is {
			return err // nil for one that is gone by now
		}
		m, alive, err := proctable.LookupAlive(pid)
		if alive {
			f(m)
		}
		return err
	})
}
