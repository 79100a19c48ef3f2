package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
)

// sandboxFlags are the flags of run for the sandbox of its command.
type sandboxFlags struct {
	Sandbox      *string  `help:"Sandbox of the command: off, read-only, workspace, or another profile of the server. Default: workspace if another flag asks for a sandbox, else what the server requires." placeholder:"PROFILE"`
	AllowRead    []string `sep:"none" help:"File or directory that the command may read, and not change; may be repeated." placeholder:"PATH"`
	AllowWrite   []string `sep:"none" help:"File or directory that the command may change; may be repeated." placeholder:"PATH"`
	Deny         []string `sep:"none" help:"File or directory that the command can neither read nor change; may be repeated." placeholder:"PATH"`
	FilesDefault *string  `help:"Access to files and directories that no other flag and no rule of the sandbox names: none, or read. Default: that of the sandbox." enum:"none,read" placeholder:"none|read"`
	AllowNet     []string `sep:"none" help:"Host and port that the command may connect to, as in *.example.org:443; may be repeated." placeholder:"HOST:PORT"`
	NoNet        bool     `help:"Give the command no network."`
	Processes    *string  `help:"Processes that the command can reach: own, or shared for those of its user. Default: that of the sandbox." enum:"own,shared" placeholder:"own|shared"`
	Tmp          *string  `help:"/tmp and /var/tmp of the command: private, or shared for those of the machine. Default: that of the sandbox." enum:"private,shared" placeholder:"private|shared"`
	UnixSockets  *string  `help:"Unix sockets of the command: none, or full. Default: that of the sandbox." enum:"none,full" placeholder:"none|full"`
	Metadata     *string  `help:"Files whose mode, owner, times and attributes the command may change: files for writable ones, or full for all of its user. Default: that of the sandbox." enum:"files,full" placeholder:"files|full"`
	Verbose      bool     `short:"v" help:"Report to stderr what enforced the sandbox, and what it refused."`
}

// pathFlag is a value of --allow-read, --allow-write or --deny.
type pathFlag struct{ name, value, access string }

func (f pathFlag) String() string { return "--" + f.name + " " + f.value }

// pathFlags returns the values of all flags with a path, in the order of the rules of the param.
func (f *sandboxFlags) pathFlags() (all []pathFlag) {
	for _, list := range []struct {
		name, access string
		values       []string
	}{{"allow-read", rpc.AccessRead, f.AllowRead}, {"allow-write", rpc.AccessWrite, f.AllowWrite}, {"deny", rpc.AccessNone, f.Deny}} {
		for _, value := range list.values {
			all = append(all, pathFlag{list.name, value, list.access})
		}
	}
	return all
}

// choice is a flag with one of two values, which is that of a member of the param.
type choice struct {
	name  string
	value *string // nil if it is not given
	most  string  // the value that permits more
	field func(p *rpc.Sandbox) *string
}

func (c *choice) String() string { return "--" + c.name + " " + *c.value }

// member returns the name of the member of the param.
func (c *choice) member() string { return strings.ReplaceAll(c.name, "-", "_") }

// choices returns all choices.
func (f *sandboxFlags) choices() []choice {
	return []choice{
		{"files-default", f.FilesDefault, rpc.AccessRead, func(p *rpc.Sandbox) *string { return &p.FilesDefault }},
		{"processes", f.Processes, rpc.ProcessesShared, func(p *rpc.Sandbox) *string { return &p.Processes }},
		{"tmp", f.Tmp, rpc.TmpShared, func(p *rpc.Sandbox) *string { return &p.Tmp }},
		{"unix-sockets", f.UnixSockets, rpc.UnixSocketsFull, func(p *rpc.Sandbox) *string { return &p.UnixSockets }},
		{"metadata", f.Metadata, rpc.MetadataFull, func(p *rpc.Sandbox) *string { return &p.Metadata }},
	}
}

// choiceOf returns the choice from which a field of the params comes, or could come; nil if there is
// none.
func (f *sandboxFlags) choiceOf(field string) *choice {
	all := f.choices()
	i := slices.IndexFunc(all, func(c choice) bool { return field == "sandbox."+c.member() })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// given reports whether a flag asks for a sandbox.
func (f *sandboxFlags) given() bool {
	return f.Sandbox != nil || f.NoNet || len(f.AllowNet) > 0 || len(f.pathFlags()) > 0 ||
		slices.ContainsFunc(f.choices(), func(c choice) bool { return c.value != nil })
}

// check checks the values as far as they do not depend on the server.
func (f *sandboxFlags) check() error {
	if f.Sandbox != nil && *f.Sandbox == "" {
		return errors.New("--sandbox must not be empty") // an unset variable must not mean no sandbox
	}
	if f.NoNet && len(f.AllowNet) > 0 {
		return errors.New("--no-net excludes --allow-net")
	}
	for _, text := range f.AllowNet {
		if _, err := sandbox.ParseDestination(text); err != nil {
			return fmt.Errorf("--allow-net %q %w", text, err)
		}
	}
	for _, p := range f.pathFlags() {
		if p.value == "" {
			return fmt.Errorf("--%s must not be empty", p.name)
		}
	}
	return nil
}

// param returns the param sandbox of a command with that working directory, nil if no flag is given.
// Without --sandbox it is as the profile workspace, or as what the server requires if that is less:
// flags that permit something add to little, and those that forbid something leave a command that can
// work.
func (f *sandboxFlags) param(dir string) (*rpc.Sandbox, error) {
	if !f.given() {
		return nil, nil
	}
	p := &rpc.Sandbox{}
	for _, c := range f.choices() {
		if c.value != nil {
			*c.field(p) = *c.value
		}
	}
	flags := f.pathFlags()
	for i, flag := range flags {
		path, err := sandboxPath(flag.value)
		if err != nil {
			return nil, err
		}
		if other := ruleOf(p.Files, path); other >= 0 {
			return nil, fmt.Errorf("%v: %v has the same path", flags[i], flags[other])
		}
		p.Files = append(p.Files, rpc.SandboxRule{Path: rpc.Bytes(path), Access: flag.access})
		if isTmp(path) && f.Tmp == nil { // the one of the machine is meant
			p.Tmp = rpc.TmpShared
		}
	}
	if f.Sandbox != nil {
		p.Profile = *f.Sandbox
	} else if ruleOf(p.Files, dir) < 0 {
		p.Files = append(p.Files, rpc.SandboxRule{Path: ".", Access: rpc.AccessWrite})
	}
	switch {
	case f.NoNet:
		p.Network.Mode = rpc.NetworkNone
	case len(f.AllowNet) > 0:
		p.Network = rpc.SandboxNetwork{Mode: rpc.NetworkAllow, Allow: f.AllowNet}
	}
	return p, nil
}

// ruleOf returns the index of the rule for a path, or -1.
func ruleOf(rules []rpc.SandboxRule, path string) int {
	return slices.IndexFunc(rules, func(r rpc.SandboxRule) bool { return r.Path == rpc.Bytes(path) })
}

// isTmp reports whether a directory is private in a sandbox unless tmp is shared.
func isTmp(path string) bool { return path == "/tmp" || path == "/var/tmp" }

// sandboxPath returns the path of a rule. A relative one is relative to the directory of this process,
// as in other programs, and not to --cwd. The home directory is that of the command's user, which the
// server knows.
func sandboxPath(path string) (string, error) {
	if path == "~" || strings.HasPrefix(path, "~/") {
		return path, nil
	}
	return filepath.Abs(path)
}

// explain returns an error of the server about the sandbox as one about the flags that it comes from.
// Other errors are returned as they are. local is whether the server is this process.
func (f *sandboxFlags) explain(err error, local bool) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || !f.given() {
		return err
	}
	data, _ := e.Data.(rpc.Data)
	field, _ := data["field"].(string)
	if field != "sandbox" && !strings.HasPrefix(field, "sandbox.") {
		return err
	}
	flag := f.flagOf(field)
	text, ok := strings.CutPrefix(e.Message, field)
	switch {
	case !ok:
		text = ": " + e.Message
	case field == "sandbox" && strings.HasSuffix(text, "is an unknown field"):
		text = ": the server does not know sandboxes: its version is too old"
	}
	switch known, _ := data["known"].([]any); {
	case field == "sandbox.profile" && len(known) > 0:
		text += "; it has " + commas(known)
	case data["kind"] == "not_enforceable":
		text += f.remedy(field, local)
	case f.isDefaultRule(field):
		text += "; use --sandbox read-only, or --allow-write PATH"
	}
	return &statusError{exitRunnelFailed, errors.New(flag + text)}
}

// isDefaultRule reports whether a field of the params is the rule that makes the working directory
// writable since there is no --sandbox.
func (f *sandboxFlags) isDefaultRule(field string) bool {
	var i int
	n, _ := fmt.Sscanf(field, "sandbox.files[%d]", &i)
	return n == 1 && f.Sandbox == nil && i == len(f.pathFlags())
}

// remedy says what to do about a field that the machine cannot enforce.
func (f *sandboxFlags) remedy(field string, local bool) string {
	check := `see "runnel sandbox check"`
	if !local {
		check += " on the machine of the server"
	}
	if c := f.choiceOf(field); c != nil && (c.value == nil || *c.value != c.most) {
		return fmt.Sprintf("; use --%s %s, or %s", c.name, c.most, check)
	}
	return "; " + check
}

// commas returns a list with commas.
func commas(list []any) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

// flagOf returns the flag from which a field of the params comes, with its value if it may have
// several.
func (f *sandboxFlags) flagOf(field string) string {
	var i int
	if n, _ := fmt.Sscanf(field, "sandbox.files[%d]", &i); n == 1 {
		if all := f.pathFlags(); i >= 0 && i < len(all) {
			return all[i].String()
		}
	}
	if n, _ := fmt.Sscanf(field, "sandbox.network.allow[%d]", &i); n == 1 && i >= 0 && i < len(f.AllowNet) {
		return "--allow-net " + f.AllowNet[i]
	}
	if f.isDefaultRule(field) {
		return "the working directory (writable without --sandbox)"
	}
	isShared := func(flag pathFlag) bool { return isTmp(filepath.Clean(flag.value)) }
	c := f.choiceOf(field)
	switch all := f.pathFlags(); {
	case c != nil && c.value != nil:
		return c.String()
	case field == "sandbox.tmp" && slices.ContainsFunc(all, isShared):
		return all[slices.IndexFunc(all, isShared)].String()
	case strings.HasPrefix(field, "sandbox.network") && f.NoNet:
		return "--no-net"
	case strings.HasPrefix(field, "sandbox.network") && len(f.AllowNet) == 1:
		return "--allow-net " + f.AllowNet[0]
	case strings.HasPrefix(field, "sandbox.network") && len(f.AllowNet) > 0:
		return "--allow-net"
	}
	origin := "the sandbox (by default the working directory is writable)"
	if f.Sandbox != nil {
		origin = "--sandbox " + *f.Sandbox
	}
	if c != nil { // it was left out
		origin += ": " + c.member()
	}
	return origin
}
