package process

import (
	"cmp"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

const (
	// stopWait is how long in all a pause waits for parents to stop before their children are stopped. It
	// takes a few ms but on a machine that is short of processors.
	stopWait = 100 * time.Millisecond
	// maxRounds is how often the members are looked for again to find who was forked since the last time.
	maxRounds = 16
	// quietRounds is how often in a row nobody new must be found: who forks and ends at once may slip through a
	// single look.
	quietRounds = 2
)

// member is a living process of a tree, as the process table had it.
type member = proctable.Entry

// roster finds the members of a tree that no system call reaches as a whole.
type memberLister interface {
	// each calls f for every living member, as it is found. An error says that some may have been overlooked.
	each(f func(member)) error
	// holds says whether a process is a member.
	holds(pid int) (bool, error)
	// send sends sig to m if that is a member still; ESRCH says that it is not.
	send(m member, sig syscall.Signal) error
}

// memberTree is a tree whose members are found by a roster and signalled one by one, but for the leader's group,
// which is signalled at once. All of it happens under the leader's lock.
type memberTree struct {
	*group
	lister memberLister
	// numbered says that the roster goes by the leader's number, and may be used only while it is not reaped.
	numbered bool
	// terminal says that the leader may be a shell with job control.
	terminal bool
	stopped  []member // whom pause stopped, in that order; under the leader's lock
	released bool     // what held the tree was given back, and may hold another one; under the leader's lock
}

func (t *memberTree) ReapLeaderFirst() bool { return false }

// held runs f while the members can be named.
func (t *memberTree) held(f func(pidfd int, reaped bool) error) error {
	return t.leader.hold(func(pidfd int, reaped bool) error {
		if t.numbered && reaped || t.released || t.leader.pid <= 1 {
			return os.ErrProcessDone
		}
		return f(pidfd, reaped)
	})
}

// Close makes all that comes later come too late.
func (t *memberTree) Close() {
	_ = t.held(func(int, bool) error {
		t.released = true
		return nil
	})
}

// each calls f for every member, under the leader's lock: those on the roster, and the leader until it is dead, wherever
// it went.
func (t *memberTree) each(f func(member)) error {
	found := false
	err := t.lister.each(func(m member) {
		found = found || m.PID == t.leader.pid
		f(m)
	})
	if !found && t.leader.runsLocked() {
		f(proctable.Lookup(t.leader.pid))
	}
	return err
}

// sendTo sends sig to one that each found; ESRCH says that it is no member any more.
func (t *memberTree) sendTo(m member, sig syscall.Signal) error {
	if m.PID != t.leader.pid || t.leader.reaped {
		return t.lister.send(m, sig)
	}
	err := t.sendLeader(t.leader.pidfd, false, sig)
	if err == os.ErrProcessDone {
		return syscall.ESRCH
	}
	return err
}

func (t *memberTree) Alive() (bool, error) {
	pids, err := t.Members()
	return len(pids) > 0, err
}

func (t *memberTree) Members() (pids []int, err error) {
	_ = t.held(func(int, bool) error {
		err = t.each(func(m member) { pids = append(pids, m.PID) })
		return nil
	})
	return pids, err
}

func (t *memberTree) Watch() *watched {
	pids, _ := t.Members()
	return watchMember(pids, t.lister.holds)
}

func (t *memberTree) Signal(sig syscall.Signal) error {
	_, err := t.Deliver(sig)
	return err
}

func (t *memberTree) Deliver(sig syscall.Signal) (missed []int, err error) {
	err = t.held(func(pidfd int, reaped bool) (err error) {
		missed, err = t.signalAll(pidfd, reaped, sig)
		return err
	})
	return missed, err
}

func (t *memberTree) SignalLeader(sig syscall.Signal) error {
	return t.held(func(pidfd int, reaped bool) error { return t.sendRunning(pidfd, reaped, sig) })
}

// signalAll sends sig to the leader's group at once and then to each of the others. A SIGKILL goes out, to each as
// it is found, until nobody is found who has not had it. Other signals do not: who is forked meanwhile may be what the
// signal's handler runs. It lists those that may not be signalled, where others were.
func (t *memberTree) signalAll(pidfd int, reaped bool, sig syscall.Signal) (missed []int, err error) {
	err = t.send(pidfd, reaped, sig)
	if sig == 0 && err == nil {
		return nil, nil
	}
	together := err == nil && sig != syscall.SIGKILL
	had := make(map[member]bool)
	quiet := 0
	for range maxRounds {
		fresh := false
		tableErr := t.each(func(m member) {
			key := member{PID: m.PID, Start: m.Start}
			switch {
			case had[key]:
				return
			case together && m.Group == t.leader.pid:
				if denied(m.PID) {
					missed = append(missed, m.PID)
				}
				return
			}
			had[key], fresh = true, true
			switch t.sendTo(m, sig) {
			case nil:
				err = nil
			case syscall.EPERM:
				missed = append(missed, m.PID)
			}
		})
		if tableErr != nil {
			return nil, tableErr
		}
		if quiet++; fresh {
			quiet = 0
		}
		if quiet == quietRounds || sig != syscall.SIGKILL {
			break
		}
	}
	slices.Sort(missed)
	if err != nil && len(missed) > 0 {
		return nil, notPermitted(missed)
	}
	return missed, err
}

// Pause stops parents before their children, the leader first of all: a shell that is stopped can't see a
// job stop, and says nothing of it later, since resume goes the other way. Who was stopped already is left out.
func (t *memberTree) Pause() error {
	return t.held(func(int, bool) error {
		err := t.stopAll(t.each, time.Now().Add(stopWait))
		if err != nil {
			t.restart()
		}
		return err
	})
}

// stopAll stops those that each finds.
func (t *memberTree) stopAll(each func(func(member)) error, end time.Time) (err error) {
	had := make(map[member]bool)
	var missed []int
	quiet := 0
	for round := 0; round < maxRounds && quiet < quietRounds; round++ { // until nobody is found who was forked meanwhile
		var all []member
		if err := each(func(m member) { all = append(all, m) }); err != nil {
			return err
		}
		parents := parentsFirst(all, t.leader.pid)
		quiet++
		for _, m := range all {
			key := member{PID: m.PID, Start: m.Start}
			if m.Stopped || had[key] {
				continue
			}
			had[key], quiet = true, 0
			if e := t.sendTo(m, syscall.SIGSTOP); e != nil {
				switch e {
				case syscall.ESRCH:
				case syscall.EPERM: // it has another user, as after a sudo
					missed = append(missed, m.PID)
				default:
					err = e
				}
				continue
			}
			t.stopped = append(t.stopped, m)
			if parents[m.PID] {
				awaitStop(m, end)
			}
		}
	}
	if len(missed) > 0 {
		return notPermitted(missed)
	}
	return err
}

// awaitStop waits for m to stop or end, but not beyond end.
func awaitStop(m member, end time.Time) {
	for !proctable.Stopped(m.PID) && time.Now().Before(end) {
		time.Sleep(50 * time.Microsecond)
	}
}

func (t *memberTree) Resume() error {
	return t.held(func(int, bool) error {
		t.restart()
		return nil
	})
}

// restart undoes a pause, children before parents.
func (t *memberTree) restart() {
	for _, m := range slices.Backward(t.stopped) {
		_ = t.sendTo(m, syscall.SIGCONT)
	}
	t.stopped = nil
}

func (t *memberTree) Continue() {
	_ = t.held(func(pidfd int, reaped bool) error {
		t.stopped = nil
		_, err := t.signalAll(pidfd, reaped, syscall.SIGCONT)
		return err
	})
}

func (t *memberTree) Terminate(sig syscall.Signal) error { return t.ask(t, sig) }

// ask asks a tree to end by sig, and hangs up on a shell on a terminal that ignores it. One that reads from it ignores
// SIGTERM, and would only ever end by SIGKILL; at SIGHUP it tells its jobs, writes its history, and goes.
func (t *memberTree) ask(tree containment, sig syscall.Signal) error {
	if err := tree.Signal(sig); err != nil {
		return err
	}
	if t.terminal {
		t.hangUp(sig)
	}
	tree.Continue()
	return nil
}

func (t *memberTree) hangUp(sig syscall.Signal) {
	_ = t.leader.hold(func(_ int, reaped bool) error {
		if !reaped && t.leader.pid > 1 && proctable.IgnoresSignal(t.leader.pid, sig) {
			return t.sys.kill(t.leader.pid, syscall.SIGHUP)
		}
		return nil
	})
}

// parentsFirst sorts all, the leader before all others, and returns who of them has children among them.
func parentsFirst(all []member, leader int) (parents map[int]bool) {
	parent := make(map[int]int, len(all))
	for _, m := range all {
		parent[m.PID] = m.Parent
	}
	parents = make(map[int]bool)
	depth := make(map[int]int, len(all))
	for _, m := range all {
		up := m.Parent
		if _, ok := parent[up]; ok {
			parents[up] = true
		}
		for d := 1; d <= len(all); d++ { // bounded: a table read piece by piece may hold a circle
			next, ok := parent[up]
			if !ok {
				break
			}
			depth[m.PID], up = d, next
		}
	}
	depth[leader] = -1
	slices.SortStableFunc(all, func(a, b member) int { return cmp.Compare(depth[a.PID], depth[b.PID]) })
	return parents
}
