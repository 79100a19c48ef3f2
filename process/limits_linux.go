package process

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// limiter is the preparer on Linux. It sets limits and attributes at the start gate.
type limiter struct {
	provider containment.Provider
	v1       cgroup.V1
	untraced bool // traced starts are refused; for tests
}

// newLimiter returns a limiter for trees of a provider. It makes cgroups of version 1, under the
// server's name, for the limits that the provider cannot enforce, as far as that is possible.
func newLimiter(p containment.Provider, own *cgroup.Hierarchies, name string) *limiter {
	l := &limiter{provider: p}
	for limit, controller := range controllerOf {
		if l.mechanism(limit) == "" {
			l.v1.Add(own, name, controller)
		}
	}
	return l
}

func (l *limiter) leftovers() memberwise.Union { return l.v1.Leftovers() }

func (l *limiter) close() error { return l.v1.Close() }

// controllerOf maps the limits of the whole tree to controllers, which have the same names in both
// versions.
var controllerOf = map[Limit]string{MemoryBytes: "memory", Processes: "pids"}

func (l *limiter) enforce(limits Limits) ([]EnforcedLimit, error) {
	return limits.enforcedBy(l.mechanism)
}

// mechanism returns what enforces a limit, "" for nothing.
func (l *limiter) mechanism(name Limit) Mechanism {
	controller, ofTree := controllerOf[name]
	switch {
	case !ofTree:
		return ByRlimit
	case l.provider.Controls(controller):
		return ByCgroup
	case l.v1.Controls(controller):
		return ByCgroupV1
	}
	return ""
}

// prepare sets limits, and the attributes that differ from those which the command inherits.
func (l *limiter) prepare(c *spawn.Command, spec *Spec, start containment.Start) (preparation, error) {
	var change Attributes
	if spec.Attributes.differ() {
		change = spec.Attributes.changed(spec.Limits)
	}
	if len(spec.Limits) == 0 && !change.differ() {
		return noPreparation{}, nil
	}
	all, err := l.enforce(spec.Limits)
	if err != nil {
		return nil, err
	}
	t := &treeLimits{limits: spec.Limits, all: all, start: start}
	if err := t.makeGroups(&l.v1); err != nil {
		t.release()
		return nil, err
	}
	c.Setup = t.setup(change)
	c.Setup.Untraced = l.untraced
	return t, nil
}

// treeLimits are the limits of one tree. The zero value has none.
type treeLimits struct {
	limits Limits
	all    []EnforcedLimit          // limits with their mechanisms
	start  containment.Start        // sets the limits that ByCgroup enforces
	v1     map[Limit]cgroup.V1Group // created for this tree
}

func (t *treeLimits) enforced() []EnforcedLimit { return t.all }

// makeGroups creates the cgroups of version 1 that the limits need.
func (t *treeLimits) makeGroups(v1 *cgroup.V1) error {
	for _, l := range t.all {
		if l.By != ByCgroupV1 {
			continue
		}
		g, err := v1.Make(controllerOf[l.Limit], l.Value)
		if err != nil {
			return err
		}
		if t.v1 == nil {
			t.v1 = make(map[Limit]cgroup.V1Group)
		}
		t.v1[l.Limit] = g
	}
	return nil
}

// setup returns what is applied at the start gate: the limits, and attributes to change.
func (t *treeLimits) setup(change Attributes) *spawn.Setup {
	s := &spawn.Setup{
		Enter: t.enterCgroups,
		Hard:  make(map[int]unix.Rlimit),
		Soft:  make(map[int]uint64),
		Umask: change.Umask,
		Nice:  change.Nice,

		NoNewPrivileges: change.NoNewPrivileges,
	}
	for _, l := range t.all {
		if l.By == ByRlimit {
			s.Hard[resourceOf[l.Limit]] = rlimitOf(l)
		}
	}
	for name, value := range change.Soft {
		s.Soft[numberOf[name]] = value
	}
	return s
}

// enterCgroups sets the limits of the cgroups of the tree, and adds the leader to those of version
// 1.
func (t *treeLimits) enterCgroups(pid int) error {
	for _, l := range t.all {
		var err error
		switch l.By {
		case ByCgroup:
			err = t.start.Limit(controllerOf[l.Limit], l.Value)
		case ByCgroupV1:
			err = t.v1[l.Limit].Join(pid)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rlimitOf returns the limits of setrlimit(2) for a limit of each process.
func rlimitOf(l EnforcedLimit) unix.Rlimit {
	limit := unix.Rlimit{Cur: uint64(l.Value), Max: uint64(l.Value)}
	if l.Limit == CPUSeconds {
		limit.Max += cpuGrace
		limit.Max = min(limit.Max, uint64(max(l.Value, mostOf(CPUSeconds))))
	}
	return limit
}

// account sets the peak memory of the tree, if a cgroup of version 1 has counted it, and the limit
// for which the leader was killed.
func (t *treeLimits) account(e *Exit, ownTime time.Duration) {
	if g, ok := t.v1[MemoryBytes]; ok {
		if peak := g.PeakMemory(); peak > 0 {
			e.MaxRSS = peak
		}
	}
	if e.Signal == syscall.SIGKILL && t.oomKills() > 0 {
		e.Limit = MemoryBytes
	} else {
		e.Limit = t.limits.exceeded(e, ownTime)
	}
}

// oomKills returns how many processes of the tree the kernel has killed at its memory limit.
func (t *treeLimits) oomKills() uint64 {
	if g, ok := t.v1[MemoryBytes]; ok {
		return g.OOMKills()
	}
	if _, limited := t.limits[MemoryBytes]; limited {
		return t.start.OOMKills()
	}
	return 0
}

// cpuGrace is the time in seconds between SIGXCPU and SIGKILL.
const cpuGrace = 1

// exceeded returns the limit for which the kernel ended the leader, if it is one of each process,
// else "". It goes by the signal, and for processor time by the time used, since any process may
// send the signal.
func (l Limits) exceeded(e *Exit, ownTime time.Duration) Limit {
	seconds, limitsTime := l[CPUSeconds]
	_, limitsFiles := l[FileBytes]
	switch {
	case limitsTime && e.Signal == syscall.SIGXCPU && ownTime >= time.Duration(seconds)*time.Second:
		return CPUSeconds
	case limitsTime && e.Signal == syscall.SIGKILL && ownTime >= time.Duration(seconds+cpuGrace)*time.Second:
		return CPUSeconds
	case limitsFiles && e.Signal == syscall.SIGXFSZ:
		return FileBytes
	}
	return ""
}

// release removes the cgroups of version 1.
func (t *treeLimits) release() {
	for _, g := range t.v1 {
		g.Remove()
	}
}
