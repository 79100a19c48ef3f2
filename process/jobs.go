package process

import (
	"cmp"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// stopWait is how long in all a pause waits for parents to stop before their children are stopped. It
	// takes a few ms but on a machine that is short of processors.
	stopWait = 100 * time.Millisecond
	// maxRounds is how often the process table is read to find who was forked since the last reading.
	maxRounds = 16
)

// jobs is containment on a terminal, by the kernel session that the leader made (setsid(2)): its own group
// and those that a shell with job control makes of its jobs. A descendant leaves it by a setsid of its own.
//
// No signal reaches a session as a whole, so its members are read from the process table and signalled one
// by one, but for the leader's group. The session is named by a number, which is the leader's; so all of it
// happens under the leader's lock, while the leader can't be reaped.
type jobs struct {
	*group
	stopped []member // whom pause stopped, in that order; under the leader's lock
}

// member is a living process of a session, as the process table had it.
type member struct {
	pid     int
	parent  int
	group   int
	started uint64 // with pid it names the process for good
	stopped bool
}

// outlivesReap is false: there is no handle for a session, as there is for a group.
func (j *jobs) outlivesReap() bool { return false }

// held runs f while the session's number is certainly the session's.
func (j *jobs) held(f func(pidfd int) error) error {
	return j.leader.hold(func(pidfd int, reaped bool) error {
		if reaped || j.leader.pid <= 1 {
			return os.ErrProcessDone
		}
		return f(pidfd)
	})
}

func (j *jobs) living() (pids []int, err error) {
	_ = j.held(func(int) error {
		var all []member
		all, err = j.sys.session(j.leader.pid)
		for _, m := range all {
			pids = append(pids, m.pid)
		}
		return nil
	})
	return pids, err
}

func (j *jobs) signal(sig syscall.Signal) error {
	return j.held(func(pidfd int) error { return j.signalAll(pidfd, sig) })
}

// signalAll sends sig to the leader's group at once and then to each of the others. A SIGKILL goes out until
// nobody is found who has not had it. Other signals do not: who is forked meanwhile may be what the
// signal's handler runs.
func (j *jobs) signalAll(pidfd int, sig syscall.Signal) error {
	err := j.send(pidfd, false, sig)
	if sig == 0 {
		return err
	}
	had := make(map[member]bool)
	for range maxRounds {
		all, tableErr := j.sys.session(j.leader.pid)
		if tableErr != nil {
			return tableErr
		}
		fresh := false
		for _, m := range all {
			key := member{pid: m.pid, started: m.started}
			if had[key] || m.group == j.leader.pid && sig != syscall.SIGKILL {
				continue
			}
			had[key], fresh = true, true
			if j.sys.signalOne(m, j.leader.pid, sig) == nil {
				err = nil
			}
		}
		if !fresh || sig != syscall.SIGKILL {
			break
		}
	}
	return err
}

// pause stops parents before their children, the leader first of all: a shell that is stopped can't see a
// job stop, and says nothing of it later, since resume goes the other way. Who was stopped already is left out.
func (j *jobs) pause() error {
	return j.held(func(pidfd int) error {
		err := j.stopAll(time.Now().Add(stopWait))
		if err != nil {
			j.restart()
		}
		return err
	})
}

func (j *jobs) stopAll(end time.Time) (err error) {
	had := make(map[member]bool)
	for range maxRounds { // until nobody is found who was forked meanwhile
		all, tableErr := j.sys.session(j.leader.pid)
		if tableErr != nil {
			return tableErr
		}
		parents := parentsFirst(all, j.leader.pid)
		fresh := false
		for _, m := range all {
			key := member{pid: m.pid, started: m.started}
			if m.stopped || had[key] {
				continue
			}
			had[key], fresh = true, true
			if e := j.sys.signalOne(m, j.leader.pid, syscall.SIGSTOP); e != nil {
				if e != syscall.ESRCH {
					err = e // it may not be signalled, as after a sudo
				}
				continue
			}
			j.stopped = append(j.stopped, m)
			if parents[m.pid] {
				awaitStop(m, end)
			}
		}
		if !fresh {
			break
		}
	}
	if len(j.stopped) > 0 {
		return nil // as for a group: who may be signalled was
	}
	return err
}

// awaitStop waits for m to stop or end, but not beyond end.
func awaitStop(m member, end time.Time) {
	for !isStopped(m.pid) && time.Now().Before(end) {
		time.Sleep(50 * time.Microsecond)
	}
}

func (j *jobs) resume() error {
	return j.held(func(int) error {
		j.restart()
		return nil
	})
}

// restart undoes a pause, children before parents.
func (j *jobs) restart() {
	for _, m := range slices.Backward(j.stopped) {
		_ = j.sys.signalOne(m, j.leader.pid, syscall.SIGCONT)
	}
	j.stopped = nil
}

// terminate hangs up on a shell. One that reads from a terminal ignores SIGTERM, and would only ever end by
// SIGKILL; at SIGHUP it tells its jobs, writes its history, and goes.
func (j *jobs) terminate() error {
	return j.held(func(pidfd int) error {
		err := j.signalAll(pidfd, syscall.SIGTERM)
		if err != nil {
			return err
		}
		if ignores(j.leader.pid, syscall.SIGTERM) {
			_ = j.sys.kill(j.leader.pid, syscall.SIGHUP)
		}
		j.stopped = nil
		return j.signalAll(pidfd, syscall.SIGCONT)
	})
}

// parentsFirst sorts all, the leader before all others, and returns who of them has children among them.
func parentsFirst(all []member, leader int) (parents map[int]bool) {
	parent := make(map[int]int, len(all))
	for _, m := range all {
		parent[m.pid] = m.parent
	}
	parents = make(map[int]bool)
	depth := make(map[int]int, len(all))
	for _, m := range all {
		up := m.parent
		if _, ok := parent[up]; ok {
			parents[up] = true
		}
		for d := 1; d <= len(all); d++ { // bounded: a table read piece by piece may hold a circle
			next, ok := parent[up]
			if !ok {
				break
			}
			depth[m.pid], up = d, next
		}
	}
	depth[leader] = -1
	slices.SortStableFunc(all, func(a, b member) int { return cmp.Compare(depth[a.pid], depth[b.pid]) })
	return parents
}
