package process

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/adjust"
	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/pgroup"
)

// hostParts has nothing: there are only process groups.
type hostParts struct {
	adjuster adjust.Adjuster
	pinned   execfile.Cache
}

// newHost returns a Host that contains trees by process groups.
func newHost(sys leader.Kernel) *Host {
	return &Host{kind: Group, provider: pgroup.NewPlain(sys)}
}

var errOnlyGroup = errors.New("this system has process groups only")

func (h *Host) open(Options) error {
	if h.kind != Auto && h.kind != Group {
		return &UnavailableError{h.kind, errOnlyGroup}
	}
	h.kind = Group
	return nil
}

func (h *Host) close() error { return nil }

// treeLimits has nothing: a child cannot be limited before its first instruction.
type treeLimits struct{}

func (*treeLimits) account(*Exit, time.Duration) {}
func (*treeLimits) close()                       {}

// enforces returns "".
func (h *Host) enforces(Limit) Mechanism { return "" }

// spawn starts the program at path with the given standard descriptors. It returns once the exec is
// done.
func (h *Host) spawn(_ context.Context, path string, spec *Spec, stdio [3]int, _ bool) (*Process, error) {
	if _, err := h.Enforce(spec.Limits); err != nil {
		return nil, err
	}
	if err := spec.Attributes.unsettable(); err != nil {
		return nil, err
	}
	attr := spec.attr(stdio)
	start, err := h.provider.NewStart(attr, false)
	if err != nil {
		return nil, err
	}
	pid, err := start.Fork(func() (int, error) { return syscall.ForkExec(path, spec.Argv, attr) })
	if err != nil {
		start.Cancel(0)
		return nil, err
	}
	l := leader.New(pid, -1)
	return &Process{host: h, leader: l, tree: start.Tree(l, spec.Terminal != nil)}, nil
}
