package pgroup

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// NewPlain returns a provider.
func NewPlain(kernel leader.Kernel) *Provider {
	return &Provider{kernel: kernel, tracker: untracked{}}
}

// forker forks on the caller's thread.
type forker struct{}

func (forker) prepare(*syscall.ProcAttr) {}

func (forker) fork(fork func() (pid int, err error)) (int, error) { return fork() }

func (forker) forkHelper(fork func() (pid int, err error)) (int, error) { return fork() }

func (forker) observer() leader.Observer { return nil }

func (forker) replace(int) (replaced func(leader, helper int)) { return func(int, int) {} }

func (forker) observe(*leader.Leader) {}

func (forker) reaped(int) {}

func (forker) tagOf(*proctable.Ancestry) (tag any, m containment.Membership, err error) {
	return nil, containment.NoMember, nil
}

func (forker) close() {}
