package process

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxAdjusting is how many started commands wait to be adjusted. Beyond it Start does it itself.
	maxAdjusting = 1024
	// maxAdjusted is how many descendants of one command are adjusted.
	maxAdjusted = 4096
	// adjustAgain is when a value is set again that the kernel did not take (EAGAIN). It is the kernel's own interval.
	adjustAgain = 100 * time.Millisecond
)

// adjuster gives commands that were started what can be set from outside, without delaying Start: to the leader at once,
// and then to the descendants that it has by then. Those that come later inherit it.
type adjuster struct {
	adjustment
	queue chan *Process
	quit  chan struct{}
	done  chan struct{}
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
	a := adjustment{nice: autogroupNice(), oomScore: noScore}
	if own, err := readScore("/proc/self/oom_score_adj"); err == nil && o.OOMScoreAdj > own {
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

func readScore(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// newAdjuster returns nil if there is nothing to adjust.
func newAdjuster(what adjustment) *adjuster {
	if what.nice == 0 && what.oomScore == noScore && what.processes == nil {
		return nil
	}
	a := &adjuster{adjustment: what, queue: make(chan *Process, maxAdjusting), quit: make(chan struct{}), done: make(chan struct{})}
	go a.run()
	return a
}

// add is called right after the exec.
func (a *adjuster) add(p *Process) {
	select {
	case a.queue <- p:
	default:
		a.adjustLeader(p)
	}
}

func (a *adjuster) stop() {
	close(a.quit)
	<-a.done
}

func (a *adjuster) run() {
	defer close(a.done)
	var looks []look         // in the order of their times, but for those that were put off
	var again []*Process     // whose leader is to be adjusted once more
	tick := time.NewTimer(0) // runs while there is something to do later
	for {
		select {
		case p := <-a.queue:
			if !a.adjustLeader(p) {
				again = append(again, p)
			}
			looks = append(looks, look{p: p})
			if len(looks) > maxAdjusting {
				looks = looks[1:]
			}
		case <-tick.C:
			again = slices.DeleteFunc(again, a.adjustLeader)
		case <-a.quit:
			return
		}
		if len(a.queue) > 0 { // leaders come first
			continue
		}
		looks = a.lookAll(looks, time.Now())
		switch {
		case len(looks) > 0:
			tick.Reset(lookPauses[0])
		case len(again) > 0:
			tick.Reset(adjustAgain)
		}
	}
}

// look is a look for the descendants of a command: the first is at once, and the others find who was being forked
// meanwhile, with the score that the leader had before.
type look struct {
	p    *Process
	n    int
	from time.Time
}

// lookPauses are the times from one look to the next.
var lookPauses = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond}

// lookAll has the looks that are due, and returns those that are to come.
func (a *adjuster) lookAll(looks []look, now time.Time) (left []look) {
	for _, l := range looks {
		if now.Before(l.from) {
			left = append(left, l)
			continue
		}
		if a.adjustDescendants(l.p) && l.n < len(lookPauses) {
			left = append(left, look{l.p, l.n + 1, now.Add(lookPauses[l.n])})
		}
	}
	return left
}

// adjustLeader is false if it is to be tried again. A leader that is not reaped has its number for itself.
func (a *adjuster) adjustLeader(p *Process) (done bool) {
	_ = p.leader.hold(func(_ int, reaped bool) error {
		if done = reaped; done {
			return nil
		}
		pid := p.leader.pid
		if a.oomScore != noScore {
			_ = writeFile(scoreFile(pid), strconv.Itoa(a.oomScore))
		}
		if a.processes != nil {
			_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, a.processes, nil)
		}
		done = a.nice == 0 || setAutogroupNice(pid, a.nice) != syscall.EAGAIN
		return nil
	})
	return done
}

func scoreFile(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/oom_score_adj" }

// adjustDescendants gives those the score that were forked before the leader had it, and is false where there is no need to
// look again. The autogroup is theirs too.
func (a *adjuster) adjustDescendants(p *Process) (again bool) {
	if a.oomScore == noScore {
		return false
	}
	if c, ok := p.tree.(*cgroup); ok {
		var pids []int
		err := c.held(func(int, bool) (err error) {
			pids, err = processesIn(c.leaf.path())
			return err
		})
		for _, pid := range pids[:min(len(pids), maxAdjusted)] {
			if pid != p.leader.pid {
				a.raiseScore(pid, func() bool { is, err := c.leaf.holds(pid); return is && err == nil })
			}
		}
		return err == nil
	}
	if p.leader.over.Load() {
		return false
	}
	var left []int // whose children are to be adjusted; each was before its children are listed
	_ = p.leader.hold(func(_ int, reaped bool) error {
		if !reaped {
			left = a.adjustChildren(p.leader.pid)
		}
		return nil
	})
	for n := 0; len(left) > 0 && n < maxAdjusted; n++ {
		left = append(left[1:], a.adjustChildren(left[0])...)
	}
	return true
}

// adjustChildren raises the score of the children of a process and returns them.
func (a *adjuster) adjustChildren(parent int) []int {
	number := strconv.Itoa(parent)
	fd, err := unix.Open("/proc/"+number+"/task/"+number+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	pids, _ := readChildren(fd)
	_ = unix.Close(fd)
	for _, pid := range pids {
		a.raiseScore(pid, func() bool {
			st, err := readStat(strconv.Itoa(pid), make([]byte, statBytes))
			return err == nil && st.parent == parent
		})
	}
	return pids
}

// raiseScore raises the score of a process if it is still a member. The file is opened before that is asked: if the number
// is another process's later, the file is not.
func (a *adjuster) raiseScore(pid int, member func() bool) {
	f, err := os.OpenFile(scoreFile(pid), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	var text [16]byte
	n, _ := f.Read(text[:])
	if score, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err != nil || score >= a.oomScore || !member() {
		return
	}
	_, _ = f.WriteAt([]byte(strconv.Itoa(a.oomScore)), 0)
}
