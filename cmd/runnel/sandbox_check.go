package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

type sandboxCheckCmd struct {
	profileFlags    `embed:""`
	bubblewrapFlags `embed:""`
	JSON            bool `name:"json" help:"Print JSON."`
}

// sandboxCheck is what `runnel sandbox check` prints, as JSON with --json.
type sandboxCheck struct {
	Enforceable bool           `json:"enforceable"` // every profile
	Profiles    []profileCheck `json:"profiles"`
	Parts       []partCheck    `json:"parts"`
	// NoNamespaces is why there are none, with what was tried, "" if there are some.
	NoNamespaces string    `json:"no_namespaces,omitempty"`
	Machine      machine   `json:"machine"`
	Findings     []finding `json:"findings"`
}

// profileCheck is whether the machine can enforce a profile.
type profileCheck struct {
	Name        string `json:"name"`
	Enforceable bool   `json:"enforceable"`
	Field       string `json:"field,omitempty"` // that it cannot enforce
	Why         string `json:"why,omitempty"`
}

// partCheck is what enforces a part of a sandbox, and why nothing does, or not in every sandbox.
type partCheck struct {
	Part string            `json:"part"`
	By   sandbox.Mechanism `json:"by,omitempty"`
	Why  string            `json:"why,omitempty"`
}

// Run prints what the machine can enforce for this user. The exit status is 1 if it cannot enforce a
// profile.
func (c *sandboxCheckCmd) Run(inv *invocation) error {
	profiles, err := c.readProfiles()
	if err != nil {
		return err
	}
	program, err := c.program()
	if err != nil {
		return err
	}
	host, err := process.Open(process.Options{Containment: process.Group, Bubblewrap: program})
	if err != nil {
		return err
	}
	r := checkSandboxes(inv.ctx, host, profiles)
	if err := host.Close(); err != nil {
		return err
	}
	complete := r.partsEnforced()
	r.Machine = examineMachine(inv.ctx, program, !complete)
	r.Findings = append([]finding{}, r.Machine.diagnose(complete)...) // a list in JSON, also if it is empty
	if err := r.print(inv.stdout, c.JSON); err != nil {
		return err
	}
	if !r.Enforceable {
		return &statusError{exitFailure, nil}
	}
	return nil
}

// checkSandboxes asks the host what it can enforce.
func checkSandboxes(ctx context.Context, h *process.Host, p *sandbox.Profiles) *sandboxCheck {
	support := h.SandboxSupport(ctx)
	r := &sandboxCheck{Enforceable: true, NoNamespaces: support.Detail}
	for _, part := range sandbox.Parts {
		r.Parts = append(r.Parts, partCheck{string(part), support.By[part], support.Why[part]})
	}
	r.Parts = append(r.Parts, checkUnixSockets(&support))
	for _, name := range p.Names() {
		if name == sandbox.Off {
			continue
		}
		check := profileCheck{Name: name, Enforceable: true}
		if err := enforceable(h, p, name); err != nil {
			check.Enforceable, check.Why, r.Enforceable = false, err.Error(), false
			if not, ok := errors.AsType[*sandbox.NotEnforceableError](err); ok {
				check.Field, check.Why = not.Field, not.Why
			}
		}
		r.Profiles = append(r.Profiles, check)
	}
	return r
}

// checkUnixSockets says what enforces that there are none: the filter, which each sandbox has.
func checkUnixSockets(s *sandbox.Support) partCheck {
	c := partCheck{Part: "unix_sockets", Why: s.Why[sandbox.FilesPart]}
	if s.By[sandbox.FilesPart] != "" {
		c.By, c.Why = sandbox.Seccomp, ""
	}
	return c
}

// partsEnforced reports whether each part of a sandbox can be enforced.
func (r *sandboxCheck) partsEnforced() bool {
	for _, p := range r.Parts {
		if p.By == "" {
			return false
		}
	}
	return true
}

// landlockAlone reports whether files are enforced, and without namespaces.
func (r *sandboxCheck) landlockAlone() bool {
	return slices.ContainsFunc(r.Parts, func(p partCheck) bool { return p.By == sandbox.Landlock })
}

// reasonEnd is what ends the first of several reasons.
const reasonEnd = "; "

// sharedReason returns the first reason, with its end, if it is that of all parts that cannot be
// enforced: why there are no namespaces. The others follow from it.
func (r *sandboxCheck) sharedReason() (shared string) {
	for _, p := range r.Parts {
		if p.By != "" {
			continue
		}
		first, _, ok := strings.Cut(p.Why, reasonEnd)
		if first += reasonEnd; !ok || shared != "" && first != shared {
			return ""
		}
		shared = first
	}
	return shared
}

func (r *sandboxCheck) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	shared := r.sharedReason()
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROFILE\tENFORCED")
	for _, p := range r.Profiles {
		answer := "yes"
		if !p.Enforceable {
			answer = "no: " + strings.TrimPrefix(p.Field+": ", ": ") + strings.TrimPrefix(p.Why, shared)
		}
		fmt.Fprintf(t, "%s\t%s\n", p.Name, answer)
	}
	fmt.Fprintln(t, "\nPART\tENFORCED BY")
	for _, p := range r.Parts {
		by := string(p.By)
		switch {
		case by == "":
			by = "nothing: " + strings.TrimPrefix(p.Why, shared)
		case p.Why != "":
			by += ", not always: " + p.Why
		}
		fmt.Fprintf(t, "%s\t%s\n", p.Part, by)
	}
	_ = t.Flush() // to memory
	if r.landlockAlone() {
		b.WriteString("\nWithout namespaces there can be sandboxes with processes shared, tmp shared,\nand metadata full if anything is writable.\n")
	}
	if r.NoNamespaces != "" {
		fmt.Fprintf(&b, "\nNo namespaces: %s\n", r.NoNamespaces)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Machine.describe())
	for _, f := range r.Findings {
		kind := "To change"
		if f.Optional {
			kind = "Optional"
		}
		fmt.Fprintf(&b, "\n%s: %s\n", kind, f.Problem)
		for line := range strings.SplitSeq(f.Remedy, "\n") {
			fmt.Fprintln(&b, strings.TrimRight("  "+line, " "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
