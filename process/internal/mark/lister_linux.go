package mark

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// Lister lists all processes with certain marks, except this one.
type Lister struct {
	Wanted func(mark uint64) bool // called for marks only
}

// Equal lists the processes with one mark.
func Equal(mark uint64) Lister { return Lister{func(m uint64) bool { return m == mark }} }

// OfInstance lists the processes with a mark of one server.
func OfInstance(number uint64) Lister {
	return Lister{func(m uint64) bool { return Instance(m) == number }}
}

// Each calls f for every process that has not ended and has a wanted mark.
func (l Lister) Each(f func(proctable.Entry)) error {
	all, err := scanMarked()
	for _, m := range all {
		if !l.Wanted(m.mark) {
			continue
		}
		is, containsErr := l.Contains(m.pid) // the process id may be reused since the scan
		if containsErr != nil {
			return containsErr
		}
		if !is {
			continue
		}
		e, alive, lookupErr := proctable.LookupAlive(m.pid)
		if lookupErr != nil {
			return lookupErr
		}
		if alive {
			f(e)
		}
	}
	return err
}

// Contains reports whether a process has a wanted mark. It is false for one that has been reaped.
func (l Lister) Contains(pid int) (bool, error) {
	mark, err := Read(pid)
	if fdreserve.Exhausted(err) {
		return false, err
	}
	return err == nil && mark != 0 && l.Wanted(mark), nil
}

// Signal sends sig to e if it is still the same process and has a wanted mark.
func (l Lister) Signal(e proctable.Entry, sig syscall.Signal) error {
	return proctable.Signal(e, sig, func(proctable.Entry) (bool, error) { return l.Contains(e.PID) })
}
