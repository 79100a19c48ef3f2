package process

import (
	"math"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

const (
	// maxAdjusting is for how many commands at once descendants are still to be looked for. Beyond it the oldest are dropped.
	maxAdjusting = 1024
	// maxAdjusted is how many descendants of one command are adjusted.
	maxAdjusted = 4096
)

// adjuster sets what can be set for a running process from outside: for the leader when its owner calls started, and a moment
// later for the descendants that it has by then. Descendants that are forked later inherit it.
type adjuster struct {
	adjustment
	enabled bool
	running sync.WaitGroup // run

	mu     sync.Mutex
	looks  []look     // in the order of their times, but for those that were put off
	again  []*Process // whose leader is to be adjusted once more; at most one for each command that runs
	timer  *time.Timer
	closed bool
}

// adjustment is what is set.
type adjustment struct {
	nice      int          // of the autogroup; 0 is left alone
	oomScore  int          // oom_score_adj (proc_pid_oom_score_adj(5)); noScore is left alone
	processes *unix.Rlimit // RLIMIT_NPROC of the leader; nil is left alone
}

const noScore = math.MinInt

// newAdjustment is what a host gives to its commands. A score that is no higher than that of this process is not set.
func newAdjustment(o *Options) adjustment {
	a := adjustment{nice: procfs.OwnAutogroupNice(), oomScore: noScore}
	if own, err := procfs.OwnOOMScoreAdj(); err == nil && o.OOMScoreAdj > own {
		a.oomScore = o.OOMScoreAdj
	}
	var limit unix.Rlimit
	if unix.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		limit.Cur = uint64(withoutReserve(int64(limit.Cur), o.ReserveProcesses))
		a.processes = &limit
	}
	return a
}

// withoutReserve is what commands get of a limit of processes.
func withoutReserve(limit int64, reserve int) int64 { return max(1, limit-int64(reserve)) }

// open sets what is adjusted. Without it, nothing is.
func (a *adjuster) open(what adjustment) {
	a.adjustment = what
	a.enabled = what.nice != 0 || what.oomScore != noScore || what.processes != nil
}

// started adjusts a leader at once, and has its descendants looked for later.
func (a *adjuster) started(p *Process) {
	if !a.enabled {
		return
	}
	done := a.adjustLeader(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !done {
		a.again = append(a.again, p)
	}
	if a.oomScore != noScore {
		a.looks = append(a.looks, look{p: p, from: time.Now().Add(lookPauses[0])})
		a.looks = a.looks[max(0, len(a.looks)-maxAdjusting):]
	}
	a.arm()
}

// arm sees that run is called where there is something to do. a.mu is held. There is one timer, since to set one for each
// start would wake up a thread for each.
func (a *adjuster) arm() {
	if a.timer == nil && !a.closed && len(a.looks)+len(a.again) > 0 {
		a.running.Add(1)
		a.timer = time.AfterFunc(lookPauses[0], a.run)
	}
}

func (a *adjuster) run() {
	defer a.running.Done()
	a.mu.Lock()
	looks, again := a.looks, a.again
	a.looks, a.again = nil, nil
	a.mu.Unlock()
	again = slices.DeleteFunc(again, a.adjustLeader)
	looks = a.lookAll(looks, time.Now())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looks, a.again, a.timer = append(looks, a.looks...), append(again, a.again...), nil
	a.arm()
}

// close returns when nothing is adjusted any more.
func (a *adjuster) close() {
	a.mu.Lock()
	a.closed = true
	if a.timer != nil && a.timer.Stop() {
		a.running.Done()
	}
	a.mu.Unlock()
	a.running.Wait()
}

// look is a search for the descendants of a command. There are several: the first may miss a process that is being forked at
// that moment, with the score that the leader had before.
type look struct {
	p    *Process
	n    int
	from time.Time
}

// lookPauses are the pauses before each search.
var lookPauses = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond}

// lookAll carries out the searches that are due, and returns the others.
func (a *adjuster) lookAll(looks []look, now time.Time) (left []look) {
	for _, l := range looks {
		if now.Before(l.from) {
			left = append(left, l)
		} else if l.n++; a.adjustDescendants(l.p) && l.n < len(lookPauses) {
			l.from = now.Add(lookPauses[l.n])
			left = append(left, l)
		}
	}
	return left
}

// adjustLeader returns false if it is to be tried again. The process id of a leader that is not reaped is not reused.
func (a *adjuster) adjustLeader(p *Process) (done bool) {
	_ = p.leader.Do(func(_ int, reaped bool) error {
		if done = reaped; done {
			return nil
		}
		pid := p.leader.PID
		if a.oomScore != noScore {
			procfs.SetOOMScoreAdj(pid, a.oomScore)
		}
		if a.processes != nil {
			_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, a.processes, nil)
		}
		done = a.nice == 0 || procfs.SetAutogroupNice(pid, a.nice) != syscall.EAGAIN
		return nil
	})
	return done
}

// adjustDescendants sets the score of descendants that were forked before the leader had it. It returns false if there is no
// need to search again. They share the leader's autogroup.
func (a *adjuster) adjustDescendants(p *Process) (again bool) {
	if a.oomScore == noScore {
		return false
	}
	return p.tree.EachDescendant(maxAdjusted, func(pid int, isMember func() bool) {
		procfs.RaiseOOMScoreAdj(pid, a.oomScore, isMember)
	})
}
