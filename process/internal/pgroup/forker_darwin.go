package pgroup

import (
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// NewPlain returns a provider.
func NewPlain(kernel leader.Kernel) *Provider {
	return &Provider{kernel, forker{}, untracked{}}
}

// forker forks on the caller's thread.
type forker struct{}

func (forker) prepare(*syscall.ProcAttr) {}

func (forker) fork(fork func() (pid int, err error)) (int, error) { return fork() }

func (forker) observe(*leader.Leader) {}

func (forker) reaped(int) {}

func (forker) close() {}
