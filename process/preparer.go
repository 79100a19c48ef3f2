package process

import (
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// preparer prepares the starts of a Host: it is the one place that decides what a command is and
// gets before its first instruction, apart from its containment. The only implementation on Linux,
// limiter, sets limits and attributes. A Host has one from the beginning, and selects it together
// with its provider. The methods may be called from any goroutine.
//
// A sandbox is no preparer: it is decided before, when the files of the command are opened
// (Attempt.confine), and its preparation wraps that of the limiter (confined). It adds a
// spawn.Sandbox to the Setup, which the exec step gets in its order, makes namespaces while the step
// starts, and ends them when it is released.
type preparer interface {
	// enforce returns the mechanism for each of the limits. The error is a *LimitError.
	enforce(Limits) ([]EnforcedLimit, error)
	// prepare prepares the start of spec. It may change c, which is used for this start only. If it
	// sets no c.Setup, the command is started without a gate. start is the start of the tree that
	// will contain the command. Errors are those that Spec.refusal converts.
	prepare(c *spawn.Command, spec *Spec, start containment.Start) (preparation, error)
	// leftovers lists processes that trees may have left when they were closed, besides those that
	// the containment lists.
	leftovers() memberwise.Union
	// close releases everything. All preparations are released.
	close() error
}

// preparation is what was prepared for one tree. It is never nil: noPreparation does nothing.
type preparation interface {
	// enforced returns the limits of the tree and their mechanisms.
	enforced() []EnforcedLimit
	// account completes e, the exit of the leader, by what was counted, and sets the limit for
	// which the leader was killed. ownTime is the processor time of the leader alone. It is called
	// at most once, before release.
	account(e *Exit, ownTime time.Duration)
	// release releases everything. It is called once: when the start has failed, or when the tree
	// is closed.
	release()
}

// noPreparation is the preparation of a command that needs none.
type noPreparation struct{}

func (noPreparation) enforced() []EnforcedLimit    { return nil }
func (noPreparation) account(*Exit, time.Duration) {}
func (noPreparation) release()                     {}
