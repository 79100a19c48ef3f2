package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/rpc/policy"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
)

// policyCmd are the verbs for a policy file.
type policyCmd struct {
	Check policyCheckCmd `cmd:"" help:"Check a policy file, or explain what it decides about a command."`
}

type policyCheckCmd struct {
	File         string            `arg:"" help:"Policy file."`
	As           string            `help:"Principal that executes the command." placeholder:"NAME"`
	Shell        string            `short:"c" name:"command" help:"Command string for the shell, instead of a command and its arguments." placeholder:"STRING"`
	Cwd          string            `help:"Working directory of the command."`
	Env          map[string]string `help:"Environment variable that the request sets; may be repeated." placeholder:"K=V" mapsep:"none"`
	User         string            `help:"User that the request asks for."`
	Principals   string            `help:"Principals file, for the groups." placeholder:"FILE"`
	profileFlags `embed:""`
	Args         []string `arg:"" optional:"" passthrough:"partial" help:"The command and its arguments."`
}

// Validate implements kong's check of values.
func (c *policyCheckCmd) Validate() error {
	command := c.Shell != "" || len(c.argv()) > 0
	switch {
	case c.Shell != "" && len(c.argv()) > 0:
		return errors.New("either a command after -- or a command string with -c is possible")
	case command && c.As == "":
		return errors.New("--as is required with a command")
	case !command && (c.As != "" || c.Cwd != "" || c.Env != nil || c.User != ""):
		return errors.New("a command after -- or a command string with -c is required")
	}
	return nil
}

// argv returns the command without the -- that kong leaves before it.
func (c *policyCheckCmd) argv() []string {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		return c.Args[1:]
	}
	return c.Args
}

// policyCheckTimeout bounds the wait for file systems.
const policyCheckTimeout = 10 * time.Second

// Run prints the warnings about the file, or the decision about the command. The exit status is 1
// for a command that is refused or cannot be started, and 2 for an invalid file.
func (c *policyCheckCmd) Run(inv *invocation) error {
	profiles, err := c.readProfiles()
	if err != nil {
		return &statusError{exitUsage, err}
	}
	hasProfile := func(name string) bool { return slices.Contains(profiles.Names(), name) }
	p, err := readPolicy("policy", c.File, hasProfile)
	if err != nil {
		return &statusError{exitUsage, err}
	}
	if c.As == "" {
		for _, warning := range p.Warnings() {
			fmt.Fprintln(inv.stdout, "warning:", warning)
		}
		return nil
	}
	group, err := c.group()
	if err != nil {
		return &statusError{exitUsage, err}
	}
	return c.explain(inv, p, group)
}

// group returns the group of the principal, if it has one.
func (c *policyCheckCmd) group() ([]string, error) {
	if c.Principals == "" {
		return nil, nil
	}
	principals, err := readPrincipals(c.Principals)
	if err != nil {
		return nil, err
	}
	return groupsIn(principals)(c.As), nil
}

// groupsIn returns the function that returns the groups of a principal.
func groupsIn(p *auth.Principals) func(principal string) []string {
	return func(principal string) []string {
		if g, ok := p.Group(principal); ok {
			return []string{g}
		}
		return nil
	}
}

// explain decides about the command as a server that is started here with default flags does, and
// prints the decision. It opens the files, and starts nothing.
func (c *policyCheckCmd) explain(inv *invocation, p *policy.Policy, groups []string) error {
	params := rpc.ExecuteParams{
		Command: rpc.Command{Shell: c.Shell, Argv: c.argv()}, Cwd: rpc.Bytes(c.Cwd), User: c.User, Env: rpc.Env{},
	}
	if c.Shell != "" {
		params.Command.Argv = nil
	}
	for name, value := range c.Env {
		params.Env[name] = &value
	}
	spec, err := server.Defaults{Environ: environ(), Grace: 2 * time.Second, StreamTimeout: 5 * time.Minute, Linger: 5 * time.Minute}.
		Spec(c.As, &params)
	if err != nil {
		return err
	}
	d, err := p.Decide(c.As, groups, &params, &spec)
	if err != nil {
		return refusedBy(inv.stdout, err)
	}
	if err := checkFiles(inv, &spec); err != nil {
		return refusedBy(inv.stdout, err)
	}
	printDecision(inv.stdout, d, &spec)
	return nil
}

// checkFiles opens and checks the files of a command, with the rights of its user if this process has
// the privilege.
func checkFiles(inv *invocation, spec *session.Spec) error {
	program := spec.Program
	if program.User != nil && int(program.User.UID) != os.Geteuid() && !process.ChangesUser() {
		fmt.Fprintln(inv.stderr, "runnel: the files are opened with the rights of this user: only root can use those of another")
		program.User = nil
	}
	ctx, cancel := context.WithTimeout(inv.ctx, policyCheckTimeout)
	defer cancel()
	return (*process.Host)(nil).Attempt(program).Check(ctx)
}

// refusedBy prints why a command is refused, for the operator.
func refusedBy(w io.Writer, err error) error {
	if r, ok := errors.AsType[*policy.Refusal](err); ok {
		fmt.Fprintf(w, "refused\nrule: %s\nfield: %s\nreason: %s\n", r.Rule, r.Field, r.Reason)
		return &statusError{exitFailure, nil}
	}
	return &statusError{exitFailure, fmt.Errorf("not started: %w", err)}
}

func printDecision(w io.Writer, d *policy.Decision, spec *session.Spec) {
	fmt.Fprintf(w, "allowed\nrule: %s\nprogram: %s\n", d.Rule, d.Program)
	user := "the server's own"
	if a := d.Account; a != nil {
		groups := make([]string, len(a.Groups))
		for i, g := range a.Groups {
			groups[i] = strconv.FormatUint(uint64(g), 10)
		}
		user = fmt.Sprintf("%s (uid %d, gid %d, groups %s)", a.Name, a.UID, a.GID, cmp.Or(strings.Join(groups, " "), "none"))
	}
	fmt.Fprintf(w, "user: %s\ncwd: %s\n", user, d.Dir)
	for _, v := range spec.Program.Env {
		fmt.Fprintf(w, "env: %s\n", v)
	}
	for _, name := range process.AllLimits {
		if n, ok := spec.Program.Limits[name]; ok {
			fmt.Fprintf(w, "limit: %s %d\n", name, n)
		}
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{{"timeout", spec.Timeout}, {"stream_timeout", spec.StreamTimeout}, {"grace", spec.Grace}, {"linger", spec.Linger}} {
		if t.value > 0 || t.name == "grace" {
			fmt.Fprintf(w, "%s: %v\n", t.name, t.value)
		}
	}
	if spec.Floor.Profile != "" {
		fmt.Fprintf(w, "sandbox: %s\n", spec.Floor.Profile)
	}
	if n := spec.Program.Attributes.Nice; n != nil {
		fmt.Fprintf(w, "nice: %d\n", *n)
	}
}
