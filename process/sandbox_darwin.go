package process

import (
	"context"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

const onlyLinux = "sandboxes need Linux"

func (h *Host) sandboxSupport(context.Context) sandbox.Support {
	s := sandbox.Support{Why: make(map[sandbox.Part]string)}
	for _, part := range sandbox.Parts {
		s.Why[part] = onlyLinux
	}
	return s
}

func (h *Host) enforceSandbox(*sandbox.Config) (sandbox.Report, error) {
	return sandbox.Report{}, &sandbox.NotEnforceableError{Field: string(sandbox.FilesPart), Why: onlyLinux}
}

// confinement does not exist on Darwin.
type confinement struct{}

func (*confinement) hasTerminals() bool { return false }

func (h *Host) hiddenFromSandboxes() []string { return nil }

func (h *Host) readOnlyInSandboxes() []string { return nil }
