package policy

import (
	"fmt"
	"path"
	"strings"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
)

// Decision is what a policy has decided about one execute: that it is permitted, if its program and
// directory turn out to be those that the policy names when they are open.
type Decision struct {
	Section string           // the section that applies, as in principal.ci
	Account *process.Account // that the command runs as; nil is the server's own user
	// Rule, Dir and Program are set by Check: what permits the program, and the paths of the
	// directory and the program without symbolic links.
	Rule, Dir, Program string

	policy   *Policy
	section  *section
	programs []*program // any of them may be the program; none if it is the shell
	roots    []string   // the directory is below one of them
	name     string     // of the program in the request
}

// Authorize returns a *Refusal if a principal may not call a method.
func (p *Policy) Authorize(principal string, groups []string, method string) error {
	s := p.section(principal, groups)
	if s == nil {
		return noSection()
	}
	if !s.mayCall(method) {
		return s.refuse("methods", "method", "the section does not list %s", method)
	}
	return nil
}

func noSection() *Refusal {
	return refuse("default", "method", "the policy has no section for the principal or its groups, and no default")
}

// Decide decides whether a principal, which is in groups, may execute p. It completes spec, which
// was made from p without a policy: the environment, limits, times, the directory, the user and the
// check of the opened files, which is [Decision.Check]. If it does not accept the traceparent, it
// removes the trace id, also if there is an error. Every error is a *Refusal. Decide uses no file and
// does not block.
func (p *Policy) Decide(principal string, groups []string, params *rpc.ExecuteParams, spec *session.Spec) (*Decision, error) {
	if err := p.Authorize(principal, groups, rpc.MethodExecute); err != nil {
		return nil, err
	}
	s := p.section(principal, groups)
	if params.Traceparent != "" && s.env.refusesTrace(params.Traceparent, s.env.set) != "" {
		spec.TraceID = ""
	}
	d := &Decision{Section: s.name, policy: p, section: s}
	for _, step := range []func(*rpc.ExecuteParams, *session.Spec) error{
		d.user, d.terminal, d.environ, d.command, d.directory, d.limits, d.times, d.nice, d.sandbox,
	} {
		if err := step(params, spec); err != nil {
			return nil, err
		}
	}
	spec.Program.Check = d.Check
	spec.Program.Attributes.NoNewPrivileges = !s.setUserID
	return d, nil
}

// maxTerm is the longest name of a terminal in bytes.
const maxTerm = 64

// terminal checks the name of the terminal, which the request has in pty or in its environment.
// Programs look a file up by it, so it must not be a path. The terminal may have that of the
// environment.
func (d *Decision) terminal(params *rpc.ExecuteParams, spec *session.Spec) error {
	if params.PTY != nil && !validTerm(params.PTY.Term) {
		return d.section.refuse("environment", "pty.term", "%q is not the name of a terminal", wire.Clip(params.PTY.Term, maxTerm))
	}
	if term := params.Env["TERM"]; term != nil && !validTerm(*term) && !d.section.env.drop {
		return d.section.refuse("environment", "env.TERM", "%q is not the name of a terminal", wire.Clip(*term, maxTerm))
	}
	if t := spec.Program.Terminal; t != nil && !validTerm(t.Term) { // TERM was dropped
		t.Term = ""
	}
	return nil
}

// validTerm reports whether a text may be the name of a terminal: "" or letters, digits and +-._
func validTerm(term string) bool {
	for _, c := range []byte(term) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("+-._", c) >= 0:
		default:
			return false
		}
	}
	return len(term) <= maxTerm && !strings.HasPrefix(term, ".")
}

func (d *Decision) environ(params *rpc.ExecuteParams, spec *session.Spec) error {
	env, err := d.section.environ(spec.Program.Env, params, d.Account)
	if err != nil {
		return err
	}
	spec.Program.Env = env
	return nil
}

// sandbox sets what the server makes the sandbox of: the floor, and the home directory. Without a
// floor a request may ask for any sandbox, except for directories that are made.
func (d *Decision) sandbox(params *rpc.ExecuteParams, spec *session.Spec) error {
	if d.Account != nil {
		spec.Home = d.Account.Home
	}
	if d.section.sandbox != "" {
		spec.Floor = session.Floor{Profile: d.section.sandbox, Rule: d.section.rule("sandbox")}
	}
	if params.Sandbox == nil || d.section.sandbox != "" && d.section.sandbox != sandbox.Off {
		return nil
	}
	for i, rule := range params.Sandbox.Files {
		if rule.Missing == rpc.MissingCreate {
			return d.section.refuse("sandbox", fmt.Sprintf("sandbox.files[%d].missing", i),
				"without a profile here no request may make directories")
		}
	}
	return nil
}

// directory decides on cwd as it is written; Check decides on the directory itself. Without this,
// the error of a directory that cannot be opened would show what exists elsewhere.
func (d *Decision) directory(params *rpc.ExecuteParams, spec *session.Spec) error {
	home := ""
	if d.Account != nil {
		home = d.Account.Home
	}
	d.roots = d.section.roots(home)
	spec.Directories = append([]string{}, d.roots...)
	if spec.Program.Dir == "" && d.section.directory != "" {
		spec.Program.Dir = inHome(d.section.directory, home)
		spec.Program.Env = setPWD(spec.Program.Env, spec.Program.Dir, params.Env)
	}
	if spec.Program.Dir == "" {
		spec.Program.Dir = "." // so that it is opened and checked
	}
	absolute := path.Join("/", spec.Program.Dir)
	if !path.IsAbs(spec.Program.Dir) {
		absolute = path.Join("/", d.policy.options.Directory, spec.Program.Dir)
	}
	for _, root := range d.roots {
		if sandbox.Below(absolute, root) {
			return nil
		}
	}
	return d.section.refuse("directories", "cwd", "%q is not in a directory of the list", absolute)
}

// setPWD returns an environment with PWD for a directory, unless the request has set or unset it.
func setPWD(env []string, dir string, change map[string]*string) []string {
	if _, ok := change["PWD"]; ok {
		return env
	}
	out := make([]string, 0, len(env)+1)
	for _, v := range env {
		if !strings.HasPrefix(v, "PWD=") {
			out = append(out, v)
		}
	}
	return append(out, "PWD="+dir)
}
