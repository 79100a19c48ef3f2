package process

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// SandboxSupport returns which sandboxes this machine can enforce. The first call tries it, which takes
// some 20 ms, and at most as long as two starts may take; the result does not change then. If ctx ends
// first, nothing is supported, and the reason is that.
func (h *Host) SandboxSupport(ctx context.Context) sandbox.Support {
	return h.orPlain().sandboxSupport(ctx)
}

// EnforceSandbox returns what would enforce a sandbox for a command with the user of this process. The
// error is a *sandbox.NotEnforceableError. What depends on files is found out by a start only.
func (h *Host) EnforceSandbox(c *sandbox.Config) (sandbox.Report, error) {
	return h.orPlain().enforceSandbox(c)
}

// HiddenFromSandboxes returns Options.HideFromSandboxes and Options.StateDir, as absolute paths, and
// what they led to when the Host was opened. Every start hides them; a caller that knows them can refuse
// a request for one of them.
func (h *Host) HiddenFromSandboxes() []string { return h.orPlain().hiddenFromSandboxes() }

// ReadOnlyInSandboxes returns what no command in a sandbox with namespaces can change: the files of
// Options.ReadOnlyInSandboxes, bwrap, this program, and what decides what is loaded into these, as absolute
// paths, and what they led to when the Host was opened. They need not exist.
func (h *Host) ReadOnlyInSandboxes() []string { return h.orPlain().readOnlyInSandboxes() }

// Sandbox returns what the command may reach and what enforces that, or nil without a sandbox.
func (p *Process) Sandbox() *sandbox.Report { return p.sandbox }

// withVariables returns an environment in which variables, as name=value, replace those of the same
// names.
func withVariables(env, variables []string) []string {
	if len(variables) == 0 {
		return env
	}
	name := func(v string) string {
		name, _, _ := strings.Cut(v, "=")
		return name
	}
	kept := slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return slices.ContainsFunc(variables, func(w string) bool { return name(v) == name(w) })
	})
	return append(kept, variables...)
}

// hiddenPaths returns the paths of the Options that are hidden in every sandbox.
func (o *Options) hiddenPaths() []string {
	hidden := slices.Clone(o.HideFromSandboxes)
	if o.StateDir != "" {
		hidden = append(hidden, o.StateDir)
	}
	return withTargets(hidden)
}

// withTargets returns absolute and clean paths, and what they lead to now: a command may replace a
// symbolic link on the way, or keep the server from following it.
func withTargets(paths []string) []string {
	all := slices.Clone(paths)
	for i, path := range all {
		if absolute, err := filepath.Abs(path); err == nil {
			all[i] = absolute
		}
	}
	for _, path := range slices.Clone(all) {
		if real, err := filepath.EvalSymlinks(path); err == nil && !slices.Contains(all, real) {
			all = append(all, real)
		}
	}
	return all
}

// isSandboxError reports whether an error of Start is about a field of Spec.Sandbox.
func isSandboxError(err error) bool {
	_, notEnforceable := errors.AsType[*sandbox.NotEnforceableError](err)
	_, path := errors.AsType[*sandbox.PathError](err)
	_, exceeds := errors.AsType[*sandbox.ExceedsError](err)
	return notEnforceable || path || exceeds
}
