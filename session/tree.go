package session

import (
	"context"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// tree is what a session that runs needs of its [process.Process]. It is an interface so that the
// deadlines can be tested with a fake clock, which real processes do not follow.
type tree interface {
	PID() int
	PGID() int
	Containment() process.Containment
	EnforcedLimits() []process.EnforcedLimit
	Sandbox() *sandbox.Report

	TerminateBy(syscall.Signal) error
	Kill() error
	Pause() error
	Resume() error
	Deliver(syscall.Signal) (missed []int, err error)
	SignalLeader(syscall.Signal) error
	Resize(rows, cols int) error
	Echo() (bool, error)
	WaitsForInput() bool

	Exited() bool
	ExitStatus() (code int, sig syscall.Signal, known bool)
	Alive() (bool, error)
	AwaitTree(context.Context)
	Sweep(ctx context.Context, grace time.Duration) process.SweepResult
	Abandon()
	Reap() (process.Exit, error)
	Close()
}
