package pgroup

import (
	"syscall"

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

func (forker) observe(*leader.Leader) {}

func (forker) reaped(int) {}

func (forker) tagOf(*proctable.Ancestry) (tag any, found bool, err error) { return nil, false, nil }

func (forker) close() {}
