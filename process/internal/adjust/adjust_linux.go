package adjust

import (
	"math"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

const (
	// maxCommands bounds the commands whose descendants are still to be searched for. Beyond it the
	// oldest are dropped.
	maxCommands = 1024
	// maxDescendants bounds the descendants of one command that are adjusted.
	maxDescendants = 4096
)

// searchDelays are the pauses before each setting of the scores of a tree. The first one is there
// because setting the score of a command that ends sooner would take 2 % of its time. There are
// several, since a search for descendants can miss a process that is being forked, with the score
// that its parent had before.
var searchDelays = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond}

// Adjuster adjusts each leader when it has started. A moment later it sets the score of the leader
// and of the descendants that it has then. Descendants that are forked later inherit it. The zero
// value changes nothing.
type Adjuster struct {
	values
	enabled bool
	running sync.WaitGroup // the function run

	mu       sync.Mutex
	searches []search
	retries  []command // whose leader is to be adjusted again
	timer    *time.Timer
	closed   bool
}

// command is a leader and its tree.
type command struct {
	leader *leader.Leader
	tree   containment.Tree
}

// search is a setting of the score of a leader and of its descendants, which are searched for.
type search struct {
	command
	n   int // searches before
	due time.Time
}

// values are what is set.
type values struct {
	nice      int          // of the autogroup; 0 is not set
	oomScore  int          // oom_score_adj; noScore is not set
	processes *unix.Rlimit // RLIMIT_NPROC of the leader; nil is not set
}

const noScore = math.MinInt

// Options are the values for commands.
type Options struct {
	// OOMScoreAdj is the oom_score_adj of commands, if it is higher than that of this process.
	OOMScoreAdj int
	// ReserveProcesses is by how much RLIMIT_NPROC of commands is lower than that of this process,
	// if this process has such a limit.
	ReserveProcesses int
}

// valuesOf returns what differs from what commands inherit. The nice value of an autogroup is not
// inherited by a new session.
func valuesOf(o Options) values {
	v := values{nice: procfs.OwnAutogroupNice(), oomScore: noScore}
	if own, err := procfs.OwnOOMScoreAdj(); err == nil && o.OOMScoreAdj > own {
		v.oomScore = o.OOMScoreAdj
	}
	var limit unix.Rlimit
	if unix.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		limit.Cur = withoutReserve(limit.Cur, o.ReserveProcesses)
		v.processes = &limit
	}
	return v
}

// withoutReserve returns what commands get of a limit of processes, which is at least 1.
func withoutReserve(limit uint64, reserve int) uint64 {
	if limit <= uint64(reserve) {
		return 1
	}
	return limit - uint64(reserve)
}

// Open sets what is adjusted. It is called before any other method.
func (a *Adjuster) Open(o Options) {
	a.values = valuesOf(o)
	a.enabled = a.nice != 0 || a.oomScore != noScore || a.processes != nil
}

// Started adjusts a leader, and later its score and that of its descendants. It may be called from
// any goroutine.
func (a *Adjuster) Started(l *leader.Leader, tree containment.Tree) {
	if !a.enabled {
		return
	}
	c := command{l, tree}
	done := a.adjustLeader(c)
	for _, dropped := range a.plan(c, done) {
		a.setScore(dropped.leader)
	}
}

// plan plans what is to be done later for a command. adjusted is the result of adjustLeader. It
// returns the searches that are dropped.
func (a *Adjuster) plan(c command, adjusted bool) (dropped []search) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !adjusted {
		a.retries = append(a.retries, c)
	}
	if a.oomScore != noScore {
		a.searches = append(a.searches, search{command: c, due: time.Now().Add(searchDelays[0])})
		more := max(0, len(a.searches)-maxCommands)
		dropped, a.searches = a.searches[:more], a.searches[more:]
	}
	a.schedule()
	return dropped
}

// schedule makes run be called if there is something to do. There is one timer, since setting one
// for each start would wake up a thread for each. a.mu is held.
func (a *Adjuster) schedule() {
	if a.timer == nil && !a.closed && len(a.searches)+len(a.retries) > 0 {
		a.running.Add(1)
		a.timer = time.AfterFunc(searchDelays[0], a.run)
	}
}

func (a *Adjuster) run() {
	defer a.running.Done()
	a.mu.Lock()
	searches, retries := a.searches, a.retries
	a.searches, a.retries = nil, nil
	a.mu.Unlock()
	retries = slices.DeleteFunc(retries, a.adjustLeader)
	searches = a.runSearches(searches, time.Now())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.searches, a.retries, a.timer = append(searches, a.searches...), append(retries, a.retries...), nil
	a.schedule()
}

// Close stops all adjusting and waits for adjustments in progress.
func (a *Adjuster) Close() {
	a.mu.Lock()
	a.closed = true
	if a.timer != nil && a.timer.Stop() {
		a.running.Done()
	}
	a.mu.Unlock()
	a.running.Wait()
}

// runSearches runs the searches that are due, and returns those that are left.
func (a *Adjuster) runSearches(searches []search, now time.Time) (left []search) {
	for _, s := range searches {
		if now.Before(s.due) {
			left = append(left, s)
		} else if s.n++; a.setScores(s.command) && s.n < len(searchDelays) {
			s.due = now.Add(searchDelays[s.n])
			left = append(left, s)
		}
	}
	return left
}

// adjustLeader sets all but the score. It returns false if it is to be called again. It holds the
// leader's lock, so the leader is not reaped meanwhile, and its process id is not reused.
func (a *Adjuster) adjustLeader(c command) (done bool) {
	if a.processes == nil && a.nice == 0 {
		return true
	}
	_ = c.leader.Do(func(_ int, reaped bool) error {
		if done = reaped; done {
			return nil
		}
		pid := c.leader.PID
		if a.processes != nil {
			_ = unix.Prlimit(pid, unix.RLIMIT_NPROC, a.processes, nil)
		}
		done = a.nice == 0 || procfs.SetAutogroupNice(pid, a.nice) != syscall.EAGAIN
		return nil
	})
	return done
}

// setScores sets the score of the leader, and of the descendants that were forked before it had it.
// It returns false if it is not to be called again.
func (a *Adjuster) setScores(c command) (again bool) {
	if a.oomScore == noScore {
		return false
	}
	a.setScore(c.leader)
	return c.tree.EachDescendant(maxDescendants, func(pid int, isMember func() bool) {
		_ = procfs.RaiseOOMScoreAdj(pid, a.oomScore, isMember)
	})
}

// setScore sets the score of a leader that is not reaped.
func (a *Adjuster) setScore(l *leader.Leader) {
	_ = l.Do(func(_ int, reaped bool) error {
		if reaped {
			return nil
		}
		return procfs.SetOOMScoreAdj(l.PID, a.oomScore)
	})
}
