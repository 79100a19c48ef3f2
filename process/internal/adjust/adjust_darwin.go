package adjust

import (
	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// Adjuster does nothing.
type Adjuster struct{}

// Started does nothing.
func (*Adjuster) Started(*leader.Leader, containment.Tree) {}
