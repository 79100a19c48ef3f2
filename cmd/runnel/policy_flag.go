package main

import (
	"errors"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/policy"
	"github.com/runnel-rpc/runnel/session"
)

// openPolicy reads the policy of a server, registers it for reloading, and makes the
// authentication know the users of its principals. It returns nil if there is none. hasProfile reports
// whether the server has a profile of sandboxes.
func (a *authentication) openPolicy(path string, hasProfile func(string) bool, r *reloader, log zerolog.Logger) (*policy.Guard, error) {
	if path == "" {
		return nil, nil
	}
	var guard *policy.Guard
	groups := func(principal string) []string { return groupsIn(a.principals.Load())(principal) }
	err := r.begin("policy", func() error {
		p, err := readPolicy("--policy", path, hasProfile)
		if err != nil {
			return err
		}
		if err := a.check(a.tokens, a.principals.Load(), p.UIDs); err != nil {
			return err
		}
		for _, warning := range p.Warnings() {
			log.Warn().Str("policy", warning).Msg("policy")
		}
		a.uids = p.UIDs
		if guard == nil {
			guard = policy.NewGuard(p, groups)
		} else {
			guard.Set(p)
		}
		return nil
	}, path)
	return guard, err
}

// readPolicy reads a policy file. flag is its flag or argument, for errors; hasProfile reports whether
// there is a profile of sandboxes.
func readPolicy(flag, path string, hasProfile func(string) bool) (*policy.Policy, error) {
	text, _, err := readOperatorFile(flag, path, policy.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	return policy.Parse(path, text, policy.Options{HasProfile: hasProfile})
}

// logged returns the restriction of a policy, which logs at the level debug why an execute is
// refused: the client is not told.
func logged(guard *policy.Guard, log zerolog.Logger) func(access.Identity, *rpc.ExecuteParams, *session.Spec) error {
	return func(id access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
		err := guard.Restrict(id, p, spec)
		trace := spec.TraceID // "" if the policy does not accept it
		report := func(err error) error {
			if r, ok := errors.AsType[*policy.Refusal](err); ok {
				logRefusal(log.Debug(), id.Principal, trace, r)
			}
			return err
		}
		if err != nil {
			return report(err)
		}
		check := spec.Program.Check
		spec.Program.Check = func(o process.Opened) error { return report(check(o)) }
		return nil
	}
}

func logRefusal(e *zerolog.Event, principal, trace string, r *policy.Refusal) {
	e = e.Str("principal", principal)
	if trace != "" {
		e = e.Str("trace_id", trace)
	}
	e.Str("rule", r.Rule).Str("field", r.Field).Str("reason", r.Reason).Msg("forbidden")
}
