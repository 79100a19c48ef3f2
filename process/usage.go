package process

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// completeExit returns how the leader ended, with what was counted for the tree. Its first call
// reads what was counted, unless the tree is closed.
func (p *Process) completeExit(e leader.Exit) Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exit != nil {
		return *p.exit
	}
	p.exit = newExit(e)
	if p.closed {
		return *p.exit
	}
	counted := p.tree.Usage(e.Signal == syscall.SIGKILL)
	if counted.HasTimes {
		p.exit.UserTime, p.exit.SystemTime = counted.UserTime, counted.SystemTime
	}
	if counted.HasPeakMemory {
		p.exit.MaxRSS = counted.PeakMemory
	}
	p.preparation.account(p.exit, e.OwnTime)
	return *p.exit
}
