package process

import (
	"sync"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// usage completes the exit of a leader by what was counted for its tree.
type usage struct {
	mu     sync.Mutex
	exit   *Exit // once it is complete
	closed bool  // the tree is closed
}

// complete returns the exit of p. Its first call reads what was counted.
func (u *usage) complete(p *Process, e leader.Exit) Exit {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.exit != nil {
		return *u.exit
	}
	u.exit = newExit(e)
	if u.closed {
		return *u.exit
	}
	counted := p.tree.Usage(e.Signal == syscall.SIGKILL)
	if counted.HasTimes {
		u.exit.UserTime, u.exit.SystemTime = counted.UserTime, counted.SystemTime
	}
	if counted.HasPeakMemory {
		u.exit.MaxRSS = counted.PeakMemory
	}
	p.limits.account(u.exit, e.OwnTime)
	return *u.exit
}

// noteUnverified records that the tree may have living processes when it is closed.
func (u *usage) noteUnverified(p *Process) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		p.host.unverified.Store(true)
		p.host.provider.NoteUnverified()
	}
}

// close closes the tree, once.
func (u *usage) close(p *Process) {
	u.mu.Lock()
	first := !u.closed
	u.closed = true
	u.mu.Unlock()
	if first {
		p.limits.close()
		p.tree.Close()
	}
}
