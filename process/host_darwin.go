package process

import (
	"context"
	"errors"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
)

// means are what a Host has on this machine: nothing but process groups.
type means struct {
	pinned *execfile.Cache // nil: there is nothing to pin
}

// estate and brood are what a tree has of its host: nothing.
type (
	treeResources struct{}
	childTable    struct{}
)

func (*treeResources) account(*Exit) {}
func (*treeResources) release()      {}
func (*treeResources) doubt()        {}
func (*childTable) reaped(int)       {}

var errOnlyGroup = errors.New("this system has process groups alone")

func (h *Host) open(Options) error {
	if h.kind != Auto && h.kind != Group {
		return &UnavailableError{h.kind, errOnlyGroup}
	}
	h.kind = Group
	return nil
}

func (h *Host) shut() error { return nil }

// enforces is nothing: there is no way to put a limit on a child before its first instruction.
func (h *Host) enforces(Limit) Mechanism { return "" }

// spawn starts the program at path on the given standard descriptors. It returns once the exec is done.
func (h *Host) spawn(_ context.Context, path string, spec *Spec, stdio [3]int, _ bool) (*Process, error) {
	if _, err := h.Enforce(spec.Limits); err != nil {
		return nil, err
	}
	if err := spec.Attributes.unsettable(); err != nil {
		return nil, err
	}
	pid, err := syscall.ForkExec(path, spec.Argv, spec.attr(stdio))
	if err != nil {
		return nil, err
	}
	l := newLeader(pid, -1)
	g := &group{leader: l, sys: h.sys}
	p := &Process{leader: l, tree: g}
	if spec.Terminal != nil {
		p.tree = newSessionTree(g)
	}
	return p, nil
}
