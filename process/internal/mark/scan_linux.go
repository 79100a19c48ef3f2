package mark

import (
	"os"
	"sync"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// marked is a process that has a mark.
type marked struct {
	pid  int
	mark uint64
}

// scans are the scans of the process table for marks. Callers that come while one is running share
// the next, so that the end of thousands of trees at once does not take as many scans.
var scans struct {
	running sync.Mutex // held by the scan that is running

	mu   sync.Mutex
	next *scan // that has not begun; nil if nobody waits for it
}

// scan is one scan.
type scan struct {
	done  chan struct{}
	found []marked // set before done is closed, as err
	err   error
}

// scanMarked lists all processes with a mark, except this one. The scan begins after the call. An
// error means that some may be missing.
func scanMarked() ([]marked, error) {
	s, first := nextScan()
	if first {
		s.run()
	}
	<-s.done
	return s.found, s.err
}

// nextScan returns the next scan. The first caller has to run it.
func nextScan() (s *scan, first bool) {
	scans.mu.Lock()
	defer scans.mu.Unlock()
	if first = scans.next == nil; first {
		scans.next = &scan{done: make(chan struct{})}
	}
	return scans.next, first
}

func (s *scan) run() {
	defer close(s.done)
	scans.running.Lock()
	defer scans.running.Unlock()
	scans.mu.Lock()
	scans.next = nil // from now on it is too late to share it
	scans.mu.Unlock()
	s.err = s.read()
}

func (s *scan) read() error {
	own := os.Getpid()
	return procfs.EachPID(func(pid int) error {
		if pid == own {
			return nil
		}
		mark, err := Read(pid)
		if err == nil && mark != 0 {
			s.found = append(s.found, marked{pid, mark})
		}
		if fdreserve.Exhausted(err) {
			return err
		}
		return nil
	})
}
