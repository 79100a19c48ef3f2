package process

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// treeLimits are the limits and attributes of one tree. A nil one has none.
type treeLimits struct {
	limits     Limits
	enforced   []EnforcedLimit
	start      containment.Start        // sets the limits that ByCgroup enforces
	v1         map[Limit]cgroup.V1Group // created for this tree
	attributes Attributes               // to be set
	setup      *spawn.Setup             // of these limits and attributes
}

// controllerOf maps the limits of the whole tree to controllers, which have the same names in both
// versions.
var controllerOf = map[Limit]string{MemoryBytes: "memory", Processes: "pids"}

// enforces returns the mechanism of a limit, "" for none.
func (h *Host) enforces(name Limit) Mechanism {
	controller, ofTree := controllerOf[name]
	switch {
	case !ofTree:
		return ByRlimit
	case h.provider.Controls(controller):
		return ByCgroup
	case h.v1.Controls(controller):
		return ByCgroupV1
	}
	return ""
}

// limit prepares the limits and attributes of a tree: it creates the cgroups of version 1 that they
// need, and the setup.
func (h *Host) limit(l Limits, a Attributes, start containment.Start) (t *treeLimits, err error) {
	t = &treeLimits{limits: l, attributes: a, start: start}
	if t.enforced, err = h.Enforce(l); err != nil {
		return nil, err
	}
	for _, l := range t.enforced {
		if l.By != ByCgroupV1 {
			continue
		}
		g, err := h.v1.Make(controllerOf[l.Limit], l.Value)
		if err != nil {
			t.close()
			return nil, err
		}
		if t.v1 == nil {
			t.v1 = make(map[Limit]cgroup.V1Group)
		}
		t.v1[l.Limit] = g
	}
	t.setup = t.newSetup()
	return t, nil
}

// newSetup returns what is applied at the start gate.
func (t *treeLimits) newSetup() *spawn.Setup {
	s := &spawn.Setup{
		Enter: t.enterCgroups,
		Hard:  make(map[int]unix.Rlimit),
		Soft:  make(map[int]uint64),
		Umask: t.attributes.Umask,
		Nice:  t.attributes.Nice,
	}
	for _, l := range t.enforced {
		if l.By == ByRlimit {
			s.Hard[resourceOf[l.Limit]] = rlimitOf(l)
		}
	}
	for name, value := range t.attributes.Soft {
		s.Soft[numberOf[name]] = value
	}
	return s
}

// enterCgroups sets the limits of the cgroups of the tree, and adds the leader to those of version
// 1.
func (t *treeLimits) enterCgroups(pid int) error {
	for _, l := range t.enforced {
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

// account sets the peak memory of the tree, as counted by its cgroups, and the limit for which the
// leader was killed. ownTime is the processor time of the leader alone.
func (t *treeLimits) account(e *Exit, ownTime time.Duration) {
	if t == nil {
		return
	}
	kills := t.start.OOMKills
	if g, ok := t.v1[MemoryBytes]; ok {
		kills = g.OOMKills
		if peak := g.PeakMemory(); peak > 0 {
			e.MaxRSS = peak
		}
	}
	if _, limited := t.limits[MemoryBytes]; limited && e.Signal == syscall.SIGKILL && kills() > 0 {
		e.Limit = MemoryBytes
	} else {
		e.Limit = t.limits.exceeded(e, ownTime)
	}
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

// close removes the cgroups of version 1.
func (t *treeLimits) close() {
	if t == nil {
		return
	}
	for _, g := range t.v1 {
		g.Remove()
	}
}
