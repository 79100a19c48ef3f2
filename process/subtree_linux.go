package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// maxSpare is how many leaves wait for the next tree.
const maxSpare = 64

// maxOpenLeaves is how many leaves in use keep their three descriptors, which save some 10 µs at the end of a tree.
const maxOpenLeaves = 256

// serverLeaf is the control group, beside those of the trees, into which a server moves itself.
const serverLeaf = "server"

// subtree is a host's own part of the hierarchy of version 2, below the control group of this process: a leaf for each
// tree. Making and removing one takes a tenth of the time of a short command, so leaves are used again. Those in which
// memory is counted are not, since what a tree left in the page cache stays on the account: of these the next one is
// made ahead of time and the last one removed behind the back of the tree.
type subtree struct {
	own         string   // the control group of this process
	dir         string   // ours in it
	shown       string   // what /proc/PID/cgroup calls that
	controllers []string // that bound leaves
	enabled     []string // in the control group of this process, for that
	moved       bool     // this process went into a leaf of its own, for that
	most        int64    // processes of all trees together, where those are bounded
	below       string   // where in dir the leaves are: "", or "/sessions" where those are bounded together

	mu    sync.Mutex
	spare []*leaf
	dead  []*leaf // to be removed
	made  int
	open  int  // leaves in use that have their descriptors
	busy  bool // somebody is at keep
	gone  bool
	work  sync.WaitGroup
}

// newSubtree makes a subtree and tries it, with those of wanted that can be had.
// The trees together get reserve processes fewer than this process may have.
func newSubtree(h hierarchies, name string, wanted []string, reserve int) (*subtree, error) {
	if h.unified == "" {
		return nil, errNoCgroup2
	}
	t := &subtree{own: h.unified, dir: filepath.Join(h.unified, name), shown: filepath.Join(h.shown, name)}
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return nil, err
	}
	t.delegate(wanted)
	t.keepReserve(reserve)
	err := t.try()
	if err != nil {
		_ = t.close()
		return nil, err
	}
	return t, nil
}

// delegate gets hold of those of wanted that are there. Processes may not sit beside the groups that
// controllers bound (cgroups(7), "no internal processes"), but in the root: if this one is alone in its own, it goes
// into a leaf. That comes first: some controllers can be enabled beside processes, and make the groups below ones
// of threads, into which nobody can be born.
func (t *subtree) delegate(wanted []string) {
	there := controllers(t.own)
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return !slices.Contains(there, c) })
	if len(wanted) == 0 {
		return
	}
	if _, err := os.Stat(filepath.Join(t.own, "cgroup.type")); err == nil { // the root has none
		if !t.alone() || t.move(filepath.Join(t.dir, serverLeaf)) != nil {
			return
		}
		t.moved = true
	}
	var err error
	if t.enabled, err = delegate(t.own, wanted); err == nil {
		_, err = delegate(t.dir, wanted)
	}
	if err == nil {
		t.controllers = wanted
	} else {
		t.undelegate()
	}
}

// sessionsDir is where the leaves are that are bounded together.
const sessionsDir = "/sessions"

// keepReserve bounds the processes of all trees together, if this process is bounded itself.
func (t *subtree) keepReserve(reserve int) {
	most, bounded := processesAllowed(t.own)
	if !t.moved || !t.counts("pids") || !bounded || reserve <= 0 {
		return
	}
	if t.most = withoutReserve(most, reserve); t.bound() == nil {
		t.below = sessionsDir
	}
}

// bound makes the group that bounds the processes of all trees together.
func (t *subtree) bound() error {
	dir := t.dir + sessionsDir
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		_, err = delegate(dir, t.controllers)
	}
	if err == nil {
		err = fdreserve.WriteFile(filepath.Join(dir, "pids.max"), strconv.FormatInt(t.most, 10))
	}
	if err != nil {
		_ = os.Remove(dir)
	}
	return err
}

// processesAllowed is the least pids.max of a control group of version 2 and those above it.
func processesAllowed(dir string) (most int64, bounded bool) {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
			return most, bounded
		}
		text, _ := os.ReadFile(filepath.Join(dir, "pids.max")) // the root has none
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (!bounded || n < most) {
			most, bounded = n, true
		}
	}
}

// leaves is the directory that the leaves are in.
func (t *subtree) leaves() string { return t.dir + t.below }

// undelegate undoes that, for who comes after in the same control group. What others have come to need stays.
func (t *subtree) undelegate() {
	for _, c := range t.controllers {
		_ = fdreserve.WriteFile(filepath.Join(t.dir, "cgroup.subtree_control"), "-"+c)
	}
	for _, c := range t.enabled {
		_ = fdreserve.WriteFile(filepath.Join(t.own, "cgroup.subtree_control"), "-"+c)
	}
	if t.moved {
		_ = fdreserve.WriteFile(filepath.Join(t.own, "cgroup.procs"), strconv.Itoa(os.Getpid()))
	}
	t.controllers, t.enabled, t.moved = nil, nil, false
}

// alone says that nobody else is in this process' control group.
func (t *subtree) alone() bool {
	pids, err := processesIn(t.own)
	return err == nil && slices.Equal(pids, []int{os.Getpid()})
}

func (t *subtree) move(to string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return fdreserve.WriteFile(filepath.Join(to, "cgroup.procs"), strconv.Itoa(os.Getpid()))
}

// try sees whether a child can be born into a leaf, and a leaf frozen and killed. The child's program does not exist: that
// this is what the kernel finds wrong says that all before it was right.
func (t *subtree) try() error {
	l, err := t.take()
	if err != nil {
		return err
	}
	defer t.give(l)
	for _, name := range []string{"cgroup.freeze", "cgroup.kill"} {
		if err := unix.Faccessat(l.dir, name, unix.W_OK, unix.AT_EACCESS); err != nil {
			return fmt.Errorf("%s/%s: %w", l.path(), name, err)
		}
	}
	pid, err := syscall.ForkExec(filepath.Join(l.path(), "no program"), []string{""}, &syscall.ProcAttr{
		Sys: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: l.dir},
	})
	if err == nil { // it died before its exec: see clean
		discard(pid)
		return fmt.Errorf("who is cloned into %s dies", l.path())
	}
	if err != syscall.ENOENT {
		return fmt.Errorf("clone into %s: %w", l.path(), err)
	}
	return nil
}

// counts says whether a controller bounds the leaves.
func (t *subtree) counts(controller string) bool { return slices.Contains(t.controllers, controller) }

// again says whether leaves may be used again.
func (t *subtree) again() bool { return !t.counts("memory") }

// take returns an empty leaf.
func (t *subtree) take() (*leaf, error) {
	t.mu.Lock()
	if n := len(t.spare); n > 0 {
		l := t.spare[n-1]
		t.spare = t.spare[:n-1]
		t.mu.Unlock()
		if l.open() == nil { // as most are
			return l, nil
		}
		t.give(l)
		return t.make()
	}
	t.mu.Unlock()
	return t.make()
}

// keepOpen is called when a tree was born into a leaf: the leaf keeps its descriptors, unless too many do.
func (t *subtree) keepOpen(l *leaf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open < maxOpenLeaves {
		t.open++
		l.kept = true
	} else {
		l.close()
	}
}

// make returns a new leaf.
func (t *subtree) make() (*leaf, error) {
	t.mu.Lock()
	t.made++
	number := t.made
	t.mu.Unlock()
	l, err := newLeaf(t, number)
	if errors.Is(err, os.ErrNotExist) && t.restore() == nil {
		return newLeaf(t, number)
	}
	return l, err
}

// restore makes what leaves are in again, after a command with the rights of the server has removed it. A group in which a
// leaf is in use can't be removed.
func (t *subtree) restore() error {
	if err := os.Mkdir(t.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if len(t.controllers) > 0 {
		if _, err := delegate(t.dir, t.controllers); err != nil {
			return err
		}
	}
	if t.below == "" {
		return nil
	}
	return t.bound()
}

// give takes a leaf back.
func (t *subtree) give(l *leaf) {
	clean := t.again() && l.clean()
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.kept {
		t.open--
		l.kept = false
	}
	if clean && !t.gone && len(t.spare) < maxSpare {
		t.spare = append(t.spare, l)
		return
	}
	t.dead = append(t.dead, l)
	if !t.busy && !t.gone {
		t.busy = true
		t.work.Go(t.keep)
	}
}

// keep removes dead leaves, and makes one for the next tree where they are not used again. One in which somebody lives
// whom nobody could end is tried again when the next one dies.
func (t *subtree) keep() {
	for {
		stuck := t.remove()
		var fresh *leaf
		t.mu.Lock()
		enough := t.again() || len(t.spare) > 0
		t.mu.Unlock()
		if !enough {
			fresh, _ = t.make()
		}
		t.mu.Lock()
		if fresh != nil { // close takes it from there
			t.spare = append(t.spare, fresh)
		}
		if len(t.dead) == 0 || t.gone {
			t.dead = append(t.dead, stuck...)
			t.busy = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
	}
}

// remove removes what is dead, and returns what can't be.
func (t *subtree) remove() (stuck []*leaf) {
	for {
		t.mu.Lock()
		if len(t.dead) == 0 {
			t.mu.Unlock()
			return stuck
		}
		l := t.dead[len(t.dead)-1]
		t.dead = t.dead[:len(t.dead)-1]
		t.mu.Unlock()
		l.close()
		if removeCgroup(l.path()) != nil {
			stuck = append(stuck, l)
		}
	}
}

// close removes the subtree. It fails where a process lives in it whom nobody could end.
func (t *subtree) close() error {
	t.mu.Lock()
	t.gone = true
	t.mu.Unlock()
	t.work.Wait()
	t.mu.Lock()
	t.dead = append(t.dead, t.spare...)
	t.spare = nil
	t.mu.Unlock()
	t.remove()
	if t.below != "" {
		_ = os.Remove(t.leaves())
	}
	t.undelegate()
	return removeCgroup(t.dir)
}

// emptyCgroup kills whoever is in a control group of version 2 and below it, waits for at most wait, and removes it. It
// returns how many there were, and an error where some are left.
func emptyCgroup(dir string, wait time.Duration) (killed int, err error) {
	count := func() (n int, err error) {
		err = eachCgroup(dir, false, func(dir string) error {
			pids, err := processesIn(dir)
			n += len(pids)
			return err
		})
		return n, err
	}
	if killed, err = count(); err != nil {
		return 0, err
	}
	_ = fdreserve.WriteFile(filepath.Join(dir, "cgroup.kill"), "1")
	end := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, lastLook) {
		if err = removeCgroup(dir); err == nil || !time.Now().Before(end) {
			return killed, err
		}
		time.Sleep(pause)
	}
}
