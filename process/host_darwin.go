package process

import (
	"context"
	"errors"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/adjust"
	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/pgroup"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// hostParts has nothing: there are only process groups.
type hostParts struct {
	adjuster adjust.Adjuster
	pinned   execfile.Cache
}

// newHost returns a Host that contains trees by process groups.
func newHost(sys leader.Kernel) *Host {
	return &Host{kind: Group, provider: pgroup.NewPlain(sys), preparer: noGate{}}
}

var errOnlyGroup = errors.New("this system has process groups only")

func (h *Host) open(Options) error {
	if h.kind != Auto && h.kind != Group {
		return &UnavailableError{h.kind, errOnlyGroup}
	}
	h.kind = Group
	return nil
}

func (h *Host) close() error { return h.preparer.close() }

// noGate is the preparer of a system without a start gate. It refuses limits and attributes.
type noGate struct{}

func (noGate) enforce(l Limits) ([]EnforcedLimit, error) {
	return l.enforcedBy(func(Limit) Mechanism { return "" })
}

func (g noGate) prepare(_ *spawn.Command, spec *Spec, _ containment.Start) (preparation, error) {
	if _, err := g.enforce(spec.Limits); err != nil {
		return nil, err
	}
	if err := spec.Attributes.unsettable(); err != nil {
		return nil, err
	}
	return noPreparation{}, nil
}

func (noGate) leftovers() memberwise.Union { return nil }
func (noGate) close() error                { return nil }

// spawn starts the executable of a spec with the given standard descriptors. It returns once the
// exec is done.
func (h *Host) spawn(_ context.Context, e executable, spec *Spec, ends *stdio) (*Process, error) {
	c := spawn.Command{Path: e.path, Argv: e.argv, Attr: spec.attr(ends.child)}
	start, err := h.provider.NewStart(c.Attr, spec.treeTag(), false)
	if err != nil {
		return nil, err
	}
	prepared, err := h.preparer.prepare(&c, spec, start)
	if err != nil {
		start.Cancel(0)
		return nil, err
	}
	pid, err := start.Fork(func() (int, error) { return syscall.ForkExec(c.Path, c.Argv, c.Attr) })
	if err != nil {
		prepared.release()
		start.Cancel(0)
		return nil, err
	}
	l := leader.New(pid, -1, nil)
	return &Process{host: h, leader: l, tree: start.Tree(l, spec.Terminal != nil), preparation: prepared}, nil
}
