package process

import (
	"errors"
	"fmt"
	"slices"

	"github.com/runnel-rpc/runnel/process/internal/adjust"
	"github.com/runnel-rpc/runnel/process/internal/bubblewrap"
	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/keeper"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/leftover"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/pgroup"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// hostParts are the parts of a Host on Linux. The zero value of each does nothing.
type hostParts struct {
	identity identity.Identity
	keeper   keeper.Keeper
	adjuster adjust.Adjuster
	pinned   *execfile.Cache
	reserved bool // fdreserve.Acquire succeeded

	sandboxes sandboxes
}

// limiting are the controllers that limit trees.
var limiting = []string{"memory", "pids"}

// newHost returns a Host that contains trees by process groups and keeps no files open between
// starts.
func newHost(sys leader.Kernel) *Host {
	p := pgroup.NewPlain(sys)
	h := &Host{kind: Group, provider: p, preparer: &limiter{provider: p}}
	h.sandboxes.ruleFiles, h.sandboxes.anchors = newDescriptorBound(), newDescriptorBound()
	return h
}

func (h *Host) open(o Options) error {
	h.pinned = &execfile.Cache{}
	h.sandboxes.program, h.sandboxes.hidden, h.sandboxes.tmpBytes = o.Bubblewrap, o.hiddenPaths(), o.SandboxTmpBytes
	h.sandboxes.readOnly = withTargets(o.ReadOnlyInSandboxes)
	h.sandboxes.fixed = withTargets(slices.Concat(o.ReadOnlyInSandboxes, bubblewrap.Protected(o.Bubblewrap)))
	h.reserved = fdreserve.Acquire() == nil
	recovered, err := leftover.Recover(o.StateDir)
	h.recovered = Recovery(recovered)
	if err != nil {
		return err
	}
	if err := h.identity.Open(o.StateDir); err != nil {
		return err
	}
	own, err := cgroup.OwnHierarchies()
	if err != nil {
		own = cgroup.Hierarchies{} // without /proc there are no cgroups
	}
	if err := h.identity.Write(own.Dirs(h.identity.Name(), limiting)); err != nil {
		return err
	}
	s, err := h.selectContainment(own, &o)
	if err != nil {
		return err
	}
	h.kind, h.provider, h.preparer = s.kind, s.provider, newLimiter(s.provider, &own, h.identity.Name())
	h.adjuster.Open(adjust.Options{OOMScoreAdj: o.OOMScoreAdj, ReserveProcesses: o.ReserveProcesses})
	return h.startKeeper(&o, s)
}

// selection is the containment of a Host.
type selection struct {
	kind       Containment
	provider   containment.Provider
	table      *mark.Table
	delegation cgroup.Delegation
}

// selectContainment returns the containment that o asks for, or the strongest available one. The
// error is an *UnavailableError.
func (h *Host) selectContainment(own cgroup.Hierarchies, o *Options) (s selection, err error) {
	requested := h.kind
	if !slices.Contains([]Containment{Auto, Cgroup, Marker, Group}, requested) {
		return s, &UnavailableError{requested, errors.New("unknown containment")}
	}
	if requested != Group {
		s.table, err = mark.NewTable(h.identity.Number, o.OnlyParent)
		if err != nil && requested == Marker {
			return s, &UnavailableError{requested, err}
		}
	}
	if s.table == nil {
		s.table = mark.NewUnmarkedTable(o.OnlyParent)
	}
	if requested == Auto || requested == Cgroup {
		p, err := cgroup.New(cgroup.Config{
			Hierarchies: own, Name: h.identity.Name(), Controllers: limiting, Reserve: o.ReserveProcesses,
			Number: h.identity.Number, Table: s.table, Kernel: leader.System(),
		})
		if err == nil {
			s.kind, s.provider, s.delegation = Cgroup, p, p.Delegation()
			return s, nil
		}
		if requested == Cgroup {
			s.table.Close()
			return s, &UnavailableError{requested, err}
		}
	}
	if s.table.Marks() {
		s.kind, s.provider = Marker, mark.NewProvider(s.table, leader.System())
	} else {
		s.kind, s.provider = Group, pgroup.New(leader.System(), s.table, &h.keeper)
	}
	return s, nil
}

// startKeeper comes last: before, this process has to be alone in its cgroup, and there are no
// trees to end.
func (h *Host) startKeeper(o *Options, s selection) error {
	if !o.Keeper {
		return nil
	}
	if !spawn.StepReady() {
		return spawn.ErrNoStep
	}
	file, err := h.identity.File()
	if err != nil {
		return err
	}
	c := &keeper.Config{Record: h.identity.Record, Number: h.identity.Number, File: file, Delegation: s.delegation}
	h.keeper.Start(c, s.table, h.poller, o.KeeperEnded)
	return nil
}

func (h *Host) close() error {
	h.sandboxes.close()
	errs := []error{h.endLeftovers()}
	h.keeper.Stop()
	h.adjuster.Close()
	h.pinned.Close()
	h.keeper.Wait() // it may be in a cgroup that is removed
	errs = append(errs, h.provider.Close(), h.preparer.close())
	if h.reserved {
		h.reserved = false
		fdreserve.Release()
	}
	err := errors.Join(errs...)
	h.identity.Close(err == nil)
	return err
}

// endLeftovers kills the processes of trees that may have had living processes when they were
// closed. The error lists those that have still not ended, or is that they cannot be listed.
func (h *Host) endLeftovers() error {
	if !h.unverified.Load() {
		return nil
	}
	l, err := h.provider.Leftovers()
	if err != nil {
		return err
	}
	all := append(h.preparer.leftovers(), l)
	memberwise.KillAll(all, memberwise.KillWait)
	var left []int
	err = all.Each(func(e proctable.Entry) { left = append(left, e.PID) })
	if len(left) > 0 {
		slices.Sort(left)
		err = errors.Join(err, fmt.Errorf("processes of ended sessions still run: %d", left))
	}
	return err
}
