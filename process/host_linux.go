package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// means are what a Host has on this machine.
type means struct {
	instance *instance
	table    *childTable       // nil under Group
	init     *childTable       // reaps orphans where there is no brood and this is the first process of its PID namespace
	subtree  *subtree          // nil but under Cgroup
	v1       map[string]string // our groups of version 1, by controller, for limits that nothing better holds
	thread   *forker           // nil but under Group
	keeper   *keeper           // nil for none
	adjuster *adjuster         // nil for nothing to adjust
	pinned   *execfile.Cache
	doubtful atomic.Bool   // somebody of a tree that was given back may live
	reserved bool          // a thread for what needs a descriptor when there is none
	groups   atomic.Uint64 // numbers groups of version 1
}

// limiting are the controllers that are of use.
var limiting = []string{"memory", "pids"}

func (h *Host) open(o Options) (err error) {
	h.reserved = fdreserve.Acquire() == nil
	if h.recovered, err = recoverCrashed(o.StateDir); err != nil {
		return err
	}
	if h.instance, err = newInstance(o.StateDir); err != nil {
		return err
	}
	own, err := ownHierarchies()
	if err != nil {
		own = hierarchies{} // no /proc: then there are no groups either
	}
	if err := h.instance.record(own); err != nil {
		return err
	}
	if err := h.contain(own, &o); err != nil {
		return err
	}
	if h.table == nil && o.OnlyParent && os.Getpid() == 1 {
		h.init, _ = newInit() // without /proc orphans can't be told from leaders
	}
	h.pinned = &execfile.Cache{}
	h.adjuster = newAdjuster(newAdjustment(&o))
	h.v1 = make(map[string]string)
	for name, controller := range controllerOf {
		dir := filepath.Join(own.v1[controller], h.instance.name())
		if own.v1[controller] != "" && h.enforces(name) == "" && os.Mkdir(dir, 0o755) == nil {
			h.v1[controller] = dir
		}
	}
	return h.startKeeper(o, own)
}

// startKeeper comes last: before, nobody but this process may be in its control group, and there is nobody to end.
func (h *Host) startKeeper(o Options, own hierarchies) error {
	if !o.Keeper {
		return nil
	}
	if !spawn.StepReady() {
		return spawn.ErrNoStep
	}
	c := &keeperConfig{serverIdentity: h.instance.identity, Number: h.instance.number}
	if f := h.instance.file; f != nil {
		var err error
		if c.File, err = filepath.Abs(f.Name()); err != nil {
			return err
		}
	}
	if t := h.subtree; t != nil {
		c.Own, c.Controllers, c.Enabled, c.Moved = t.own, t.controllers, t.enabled, t.moved
	}
	b := h.table
	if b == nil {
		b = h.init
	}
	h.keeper = newKeeper(c, b, o.KeeperEnded)
	return nil
}

// contain picks the containment that was asked for, or the strongest.
func (h *Host) contain(own hierarchies, o *Options) error {
	asked := h.kind
	if !slices.Contains([]Containment{Auto, Cgroup, Marker, Group}, asked) {
		return &UnavailableError{asked, errors.New("there is no such containment")}
	}
	if asked != Group {
		var err error
		if h.table, err = newChildTable(h.instance.number, o.OnlyParent); err != nil && asked == Marker {
			return &UnavailableError{asked, err}
		}
	}
	if asked == Cgroup || asked == Auto {
		var err error
		if h.subtree, err = newSubtree(own, h.instance.name(), limiting, o.ReserveProcesses); err != nil && asked == Cgroup {
			return &UnavailableError{asked, err}
		}
	}
	switch {
	case h.subtree != nil:
		h.kind = Cgroup
	case h.table != nil:
		h.kind = Marker
	default:
		h.kind, h.thread = Group, newForker()
	}
	return nil
}

func (h *Host) shut() error {
	all := []error{h.endLeftovers()}
	if h.keeper != nil {
		h.keeper.end()
		defer h.keeper.wait()
	}
	if h.adjuster != nil {
		h.adjuster.stop()
	}
	if h.pinned != nil {
		h.pinned.Close()
	}
	if h.table != nil {
		h.table.close()
	}
	if h.init != nil {
		h.init.close()
	}
	if h.thread != nil {
		h.thread.stop()
	}
	if h.subtree != nil {
		if h.keeper != nil && h.subtree.moved { // it is in one of the groups that are removed
			h.keeper.wait()
		}
		all = append(all, h.subtree.close())
	}
	for _, dir := range h.v1 {
		all = append(all, removeCgroup(dir))
	}
	if h.reserved {
		h.reserved = false
		fdreserve.Release()
	}
	err := errors.Join(all...)
	if h.instance != nil {
		h.instance.close(err == nil)
	}
	return err
}

// birth is one fork and what it takes.
type spawnRequest struct {
	*treeResources
	path    string
	spec    *Spec
	attr    *syscall.ProcAttr
	pidfd   int
	mayWait bool        // its exec is for the exec step
	step    *spawn.Step // once it was forked
}

// estate is what a tree has of its host, to be given back.
type treeResources struct {
	host    *Host
	leaf    *leaf
	limits  *treeLimits
	mark    uint64
	group   int // that the keeper was told of, 0 for none
	counted bool
}

// spawn starts the program at path on the given standard descriptors. It returns once the exec is done, or was killed
// because ctx ended.
func (h *Host) spawn(ctx context.Context, path string, spec *Spec, stdio [3]int, mayWait bool) (*Process, error) {
	h.keeper.await()
	b := &spawnRequest{treeResources: &treeResources{host: h}, path: path, spec: spec, attr: spec.attr(stdio), mayWait: mayWait}
	withHandle(b.attr.Sys, &b.pidfd)
	var pid int
	err := b.prepare(h.subtree.take)
	if err == nil {
		if pid, err = b.fork(); err != nil && b.leaf != nil && (spoilt(err) || b.leaf.removed()) { // by who was in it before, as root
			b.undo()
			if err = b.prepare(h.subtree.make); err == nil {
				pid, err = b.fork()
			}
		}
	}
	if err == nil && b.step != nil {
		err = b.pass(ctx, pid)
	}
	if err != nil {
		b.undo()
		return nil, err
	}
	return b.process(newLeader(pid, b.pidfd)), nil
}

// spoilt says that a child could not be born into its leaf.
func spoilt(err error) bool {
	return err == syscall.EBUSY || err == syscall.EOPNOTSUPP || err == syscall.ENODEV || err == syscall.EBADF
}

// prepare makes what the child is born with; leaf gives it one, where trees have leaves.
func (b *spawnRequest) prepare(leaf func() (*leaf, error)) (err error) {
	if b.host.subtree != nil {
		if b.leaf, err = leaf(); err != nil {
			return err
		}
		b.attr.Sys.UseCgroupFD, b.attr.Sys.CgroupFD = true, b.leaf.dir
	}
	var change Attributes
	if b.spec.Attributes.differ() {
		change = b.spec.Attributes.changed(b.spec.Limits)
	}
	if len(b.spec.Limits) > 0 || change.differ() {
		if b.limits, err = b.host.limit(b.spec.Limits, b.leaf); err == nil {
			b.limits.attributes = change
		}
	}
	return err
}

func (b *spawnRequest) fork() (pid int, err error) {
	h, exec := b.host, b.exec
	if h.init != nil {
		exec = func() (int, error) { return h.init.forkUnmarked(b.exec) }
	}
	switch {
	case h.table != nil:
		b.mark, pid, err = h.table.fork(b.exec)
	case h.thread != nil: // its death is the leader's
		b.attr.Sys.Pdeathsig = syscall.SIGKILL
		h.thread.do(func() { pid, err = exec() })
	default:
		pid, err = exec()
	}
	if err != nil {
		b.closePidfd()
	}
	return pid, err
}

func (b *spawnRequest) closePidfd() {
	if b.pidfd >= 0 {
		_ = unix.Close(b.pidfd)
		b.pidfd = -1
	}
}

// undo gives back what was taken for a child that was not born.
func (e *treeResources) undo() {
	if e.limits != nil {
		e.limits.close()
		e.limits = nil
	}
	if e.leaf != nil {
		e.host.subtree.give(e.leaf)
		e.leaf = nil
	}
}

func (b *spawnRequest) process(l *leader) *Process {
	g := &group{leader: l, sys: b.host.sys}
	p := &Process{leader: l, tree: g}
	terminal := b.spec.Terminal != nil
	switch {
	case b.leaf != nil:
		b.host.subtree.keepOpen(b.leaf)
		p.tree = newCgroup(g, b.leaf, b.host.table, b.mark, terminal)
	case b.mark != 0:
		p.tree = newMarker(g, b.host.table, b.mark, terminal)
	default:
		if terminal {
			p.tree = newSessionTree(g)
		}
		if b.host.keeper != nil {
			b.group = l.pid
			b.host.keeper.add(l.pid, terminal)
		}
	}
	if l.table = b.host.init; b.mark != 0 {
		l.table = b.host.table
	}
	if b.limits != nil {
		p.held = b.limits.held
		_, l.timed = b.spec.Limits[CPUSeconds]
	}
	p.usage.resources = b.treeResources
	if a := b.host.adjuster; a != nil {
		p.adjust = func() { a.started(p) }
	}
	return p
}

// account makes the times those of the whole tree where they were counted, also of who was never waited for.
func (e *treeResources) account(exit *Exit) {
	if e.leaf != nil {
		if spent, ok := e.leaf.spent(); ok {
			exit.UserTime, exit.SystemTime = spent.user, spent.system
		}
		e.counted = true
		e.leaf.killed = e.leaf.killed || exit.Signal == syscall.SIGKILL // it may have done so itself, by the file
		if e.host.subtree.counts("memory") {
			exit.MaxRSS = e.leaf.peak()
		}
	}
	if e.limits != nil {
		e.limits.account(exit)
	}
}

func (e *treeResources) release() {
	if e.leaf != nil && !e.counted {
		_, _ = e.leaf.spent() // lest the next tree be told so
	}
	e.undo()
	if e.mark != 0 {
		e.host.table.release(e.mark)
	}
	if e.group != 0 {
		e.host.keeper.remove(e.group)
	}
}
