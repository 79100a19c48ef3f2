package policy

import (
	"sync/atomic"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// Guard applies the policy that is in force. Its methods may be called concurrently. A new policy
// applies to the requests that are decided after it was set: sessions that run, or start, keep
// theirs.
type Guard struct {
	policy atomic.Pointer[Policy]
	groups func(principal string) []string
}

// NewGuard returns a guard. groups returns the groups of a principal, in the order in which their
// sections are tried; nil means that there are none.
func NewGuard(p *Policy, groups func(principal string) []string) *Guard {
	if groups == nil {
		groups = func(string) []string { return nil }
	}
	g := &Guard{groups: groups}
	g.policy.Store(p)
	return g
}

// Set puts another policy in force.
func (g *Guard) Set(p *Policy) { g.policy.Store(p) }

// Authorize returns a *Refusal if a caller may not call a method.
func (g *Guard) Authorize(id access.Identity, method string, _ any) error {
	return g.policy.Load().Authorize(id.Principal, g.groups(id.Principal), method)
}

// Restrict is [Policy.Decide] for the policy that is in force.
func (g *Guard) Restrict(id access.Identity, params *rpc.ExecuteParams, spec *session.Spec) error {
	_, err := g.policy.Load().Decide(id.Principal, g.groups(id.Principal), params, spec)
	return err
}
