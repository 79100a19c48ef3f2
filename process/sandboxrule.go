package process

import (
	"errors"
	"slices"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// UnusedRule is a rule of a profile, and not of a request, whose path a start could not use. The client
// is not told the path.
type UnusedRule struct {
	Path string // as in the Config
	// Err is fs.ErrNotExist or another errno, or sandbox.ErrLink.
	Err error
	// Refused is whether the start has failed for it; otherwise the rule had no effect.
	Refused bool
}

func (a *Attempt) reportUnused(u UnusedRule) {
	if f := a.host.ruleUnused; f != nil {
		f(u)
	}
}

// reportRefused reports the rule for whose path a start has failed, if it is one of a profile.
func (a *Attempt) reportRefused(err error) {
	e, ok := errors.AsType[*sandbox.PathError](err)
	if !ok || a.spec.Sandbox == nil {
		return
	}
	rules := a.spec.Sandbox.Files
	if i := slices.IndexFunc(rules, func(r sandbox.Rule) bool { return r.Path == e.Path }); i >= a.spec.Sandbox.Named() {
		a.reportUnused(UnusedRule{Path: e.Path, Err: e.Err, Refused: true})
	}
}
