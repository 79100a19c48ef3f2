package server

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// Sandboxes are what the server knows of the sandboxes of commands. The zero value has the built-in
// profiles and requires none. What is hidden from all is an option of the process.Host.
type Sandboxes struct {
	// Profiles returns the profiles that are in force. It is called for each execute, must not block,
	// and may be called concurrently. Nil has the built-in ones.
	Profiles func() *sandbox.Profiles
	// Default is the name of the profile that no sandbox may exceed, and that commands without one
	// get; "" is none.
	Default string
	// Support returns what the machine can enforce, which connected announces. A connection waits for
	// it, at most for supportWait. Nil announces nothing; requests are accepted all the same.
	Support func(ctx context.Context) sandbox.Support
}

// profiles returns the profiles in force.
func (o *Sandboxes) profiles() *sandbox.Profiles {
	if o.Profiles == nil {
		return nil
	}
	return o.Profiles()
}

// supportWait is how long a connection waits for Support. If it takes longer, nothing is announced.
const supportWait = 10 * time.Second

// capabilities returns the parts of a sandbox that the machine can enforce, as names of
// capabilities.
func (o *Sandboxes) capabilities() (all []string) {
	if o.Support == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), supportWait)
	defer cancel()
	support := o.Support(ctx)
	for _, part := range []sandbox.Part{sandbox.FilesPart, sandbox.NetworkPart, sandbox.AllowPart, sandbox.ProcessesPart} {
		if support.By[part] != "" {
			all = append(all, "sandbox:"+string(part))
		}
	}
	return all
}

// sandboxing is the making of the sandbox of one execute.
type sandboxing struct {
	profiles *sandbox.Profiles
	at       sandbox.Place
	byServer *sandbox.Config    // the floor of the server; nil is none
	byPolicy *sandbox.Config    // the floor of a policy; nil is none
	required []string           // the names of their profiles
	rule     string             // of the policy, that requires byPolicy
	refused  func(field string) // logs that the policy forbids a field; nil does not
}

// sandbox sets the sandbox of a command in its spec, which a policy has completed.
func (c *party) sandbox(p *rpc.ExecuteParams, spec *session.Spec) error {
	o := &c.server.o
	required := spec.Floor
	spec.Floor = session.Floor{} // not kept with the session
	if p.Sandbox == nil && required.Profile == "" && o.Sandboxes.Default == "" {
		return nil
	}
	host := c.server.sessions.Options().Host
	x := sandboxing{rule: required.Rule, refused: refusedSandbox(o.Log, spec, required)}
	if err := x.locate(&o.Defaults, spec, host.HiddenFromSandboxes()); err != nil {
		return err
	}
	asked := p.Sandbox
	again := func() (*sandbox.Config, error) { return x.make(&o.Sandboxes, required.Profile, asked, host) }
	made, err := again()
	if err != nil || made == nil { // without a sandbox it has none by other profiles either
		return err
	}
	spec.Program.Sandbox, spec.MakeSandbox = made, again
	spec.Weight += sandboxWeight(made)
	return nil
}

// refusedSandbox returns the function that logs what the policy forbids, as what else it forbids.
func refusedSandbox(log zerolog.Logger, spec *session.Spec, by session.Floor) func(field string) {
	principal, trace := spec.Owner, spec.TraceID
	return func(field string) {
		e := log.Debug().Str("principal", principal)
		if trace != "" {
			e = e.Str("trace_id", trace)
		}
		e.Str("rule", by.Rule).Str("field", field).Str("reason", "the profile "+by.Profile+" permits less").Msg("forbidden")
	}
}

// make makes the sandbox of a request by the profiles that are in force. It changes only its copy of x.
func (x sandboxing) make(o *Sandboxes, byPolicy string, p *rpc.Sandbox, host *process.Host) (*sandbox.Config, error) {
	x.profiles = o.profiles()
	if err := x.require(o.Default, byPolicy); err != nil {
		return nil, err
	}
	c, err := x.complete(p)
	if err != nil || c == nil {
		return nil, err
	}
	if _, err := host.EnforceSandbox(c); err != nil {
		return nil, c.Locate(err)
	}
	return c, nil
}

// locate sets what the paths of the sandbox are relative to.
func (x *sandboxing) locate(d *Defaults, spec *session.Spec, hidden []string) error {
	dir := d.absolute(spec.Program.Dir)
	if slices.Contains(strings.Split(dir, "/"), "..") {
		return rpc.InvalidParams("cwd", "cwd must not contain .. with a sandbox: what it leads to depends on symbolic links")
	}
	home := spec.Home
	if spec.Program.User == nil {
		home = d.home()
	}
	x.at = sandbox.Place{Dir: dir, Home: cleanHome(home), Hidden: hidden}
	return nil
}

func cleanHome(home string) string {
	if !path.IsAbs(home) {
		return ""
	}
	return path.Clean(home)
}

// home returns the home directory of the server's own user. The request has no influence on it.
func (d *Defaults) home() string {
	for _, variable := range d.Environ {
		if home, ok := strings.CutPrefix(variable, "HOME="); ok && path.IsAbs(home) {
			return home
		}
	}
	account, err := process.LookupAccount(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return ""
	}
	return account.Home
}

// require sets the floors.
func (x *sandboxing) require(byServer, byPolicy string) error {
	for _, floor := range []struct {
		name string
		set  **sandbox.Config
	}{{byServer, &x.byServer}, {byPolicy, &x.byPolicy}} {
		if floor.name == "" {
			continue
		}
		c, err := x.profiles.Floor(floor.name, x.at)
		if err != nil {
			return errNoFloor(err)
		}
		if *floor.set = c; c != nil && !slices.Contains(x.required, floor.name) {
			x.required = append(x.required, floor.name)
		}
	}
	return nil
}

// errNoFloor is the error of an execute whose required sandbox cannot be made: for its directory, or
// because the profile is not defined any more. No command runs without it.
func errNoFloor(err error) *rpc.Error {
	return rpc.InvalidParams("sandbox", "the sandbox that the server requires cannot be made: %v", err)
}

// floor returns what the request must not exceed, or nil.
func (x *sandboxing) floor() *sandbox.Config {
	switch {
	case x.byServer == nil:
		return x.byPolicy
	case x.byPolicy == nil:
		return x.byServer
	}
	return x.byServer.Tighten(x.byPolicy)
}

// complete returns the sandbox of a request, or nil if there is none.
func (x *sandboxing) complete(p *rpc.Sandbox) (*sandbox.Config, error) {
	floor := x.floor()
	if floor != nil {
		if err := floor.Check(); err != nil { // two floors may have too many rules
			return nil, errNoFloor(err)
		}
	}
	asked := &sandbox.Request{}
	if p != nil {
		var bad *rpc.Error
		if asked, bad = sandboxRequest(p); bad != nil {
			return nil, bad
		}
	} else if floor == nil {
		return nil, nil
	}
	c, err := x.profiles.Complete(asked, floor, x.at)
	if exceeds, ok := errors.AsType[*sandbox.ExceedsError](err); ok && x.policyRefuses(asked) {
		field := sandboxField(exceeds.Field)
		if x.refused != nil {
			x.refused(field)
		}
		return nil, rpc.Forbidden(x.rule, field)
	}
	if c != nil {
		c.Required = x.required
	}
	return c, err
}

// policyRefuses reports whether it is the floor of the policy that a request exceeds.
func (x *sandboxing) policyRefuses(asked *sandbox.Request) bool {
	if x.byPolicy == nil {
		return false
	}
	_, err := x.profiles.Complete(asked, x.byPolicy, x.at)
	return err != nil
}

// sandboxField returns the path of a field of a sandbox in the params.
func sandboxField(field string) string {
	if field == "" {
		return "sandbox"
	}
	return "sandbox." + field
}

// sandboxRequest converts the param.
func sandboxRequest(p *rpc.Sandbox) (*sandbox.Request, *rpc.Error) {
	if len(p.Network.Allow) > sandbox.MaxDestinations {
		return nil, rpc.InvalidParams("sandbox.network.allow", "sandbox.network.allow must have at most %d elements", sandbox.MaxDestinations)
	}
	r := &sandbox.Request{Profile: p.Profile, Partial: sandbox.Partial{
		FilesDefault: sandbox.Access(p.FilesDefault),
		Network:      sandbox.Network{Mode: sandbox.Mode(p.Network.Mode)},
		Processes:    sandbox.Scope(p.Processes),
		Tmp:          sandbox.Scope(p.Tmp),
		Devices:      sandbox.Devices(p.Devices),
		UnixSockets:  sandbox.UnixSockets(p.UnixSockets),
		Metadata:     sandbox.Metadata(p.Metadata),
	}}
	for _, rule := range p.Files {
		r.Files = append(r.Files, sandbox.Rule{
			Path: string(rule.Path), Access: sandbox.Access(rule.Access), Missing: sandbox.Missing(rule.Missing),
		})
	}
	for i, text := range p.Network.Allow {
		d, err := sandbox.ParseDestination(text)
		if err != nil {
			field := "sandbox.network.allow[" + strconv.Itoa(i) + "]"
			return nil, rpc.InvalidParams(field, "%s %v", field, err)
		}
		r.Network.Allow = append(r.Network.Allow, d)
	}
	return r, nil
}

// sandboxWeight returns about how many bytes of a sandbox are kept as long as the session.
func sandboxWeight(c *sandbox.Config) (n int64) {
	const perRule, perDestination, perPath = 64, 32, 16
	const deniedWeight = 8 << 10 // what the record may have of refused destinations
	for i := range c.Files {
		n += int64(len(c.Files[i].Path)) + perRule
	}
	for i := range c.Network.Allow {
		n += int64(len(c.Network.Allow[i].Host)) + perDestination
	}
	for _, file := range c.Hidden {
		n += int64(len(file)) + perPath
	}
	if c.Network.Mode == sandbox.AllowList {
		n += deniedWeight
	}
	return n
}

// sandboxFailed converts the error of a sandbox that could not be made.
func sandboxFailed(e *process.SandboxError) *rpc.Error {
	switch e.Errno {
	case 0:
		return rpc.SandboxFailed(e.Step, "", "failed")
	case unix.ETIMEDOUT:
		return rpc.SandboxFailed(e.Step, "ETIMEDOUT", "took too long")
	}
	return rpc.SandboxFailed(e.Step, unix.ErrnoName(e.Errno), "failed: "+e.Errno.Error())
}

// sandboxError converts an error about a sandbox; ok is false if it is another one.
func sandboxError(err error) (e *rpc.Error, ok bool) {
	var (
		field   *sandbox.FieldError
		exceeds *sandbox.ExceedsError
		not     *sandbox.NotEnforceableError
		file    *sandbox.PathError
	)
	switch {
	case errors.As(err, &field):
		name := sandboxField(field.Field)
		e := rpc.InvalidParams(name, "%s %s", name, field.Text)
		if field.Known != nil {
			e.Data.(rpc.Data)["known"] = field.Known
		}
		return e, true
	case errors.As(err, &exceeds):
		name := sandboxField(exceeds.Field)
		return rpc.InvalidParams(name, "%s asks for more than the server permits", name), true
	case errors.As(err, &not):
		return rpc.NotEnforceable(sandboxField(not.Field), not.Why), true
	case errors.As(err, &file) && strings.HasPrefix(file.Field, "files["):
		name := sandboxField(file.Field)
		return rpc.InvalidParams(name, "%s cannot be used: %v", name, file.Err), true
	case errors.As(err, &file): // of the operator, who need not tell it
		name := sandboxField(file.Field)
		return rpc.InvalidParams(name, "%s has a path that cannot be used: %v", name, file.Err), true
	}
	return nil, false
}
