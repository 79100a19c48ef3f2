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
// A sandbox is another preparer, which calls the limiter and then adds its part:
//
//   - Before the fork it puts a helper in front of the argv of the spawn.Command, changes its
//     environment, and opens files and sockets and adds them to its descriptors.
//   - What a process applies to itself just before the exec (no_new_privs, Landlock, seccomp) is a
//     field of spawn.Setup, for which Setup.NeedsStep is true; the exec step gets it in its order.
//   - The preparation reports what is enforced, and closes the files and sockets at its release.
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
