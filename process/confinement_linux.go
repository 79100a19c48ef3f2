package process

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap"
	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/landlock"
	"github.com/runnel-rpc/runnel/process/internal/seccomp"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
	"github.com/runnel-rpc/runnel/process/internal/terminal"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// stepRuleset is a SandboxError.Step.
const stepRuleset = "making the Landlock ruleset"

// confinement is the sandbox of one start: what is known before the fork.
type confinement struct {
	*Attempt
	how     method
	report  sandbox.Report
	rules   ruleFiles
	files   *execfile.Opened
	program int // index in files.Programs of what is executed
}

// confine decides how the sandbox of a command is enforced, and opens what its rules name. The caller
// closes the rules.
func (a *Attempt) confine(ctx context.Context, user *User, files *execfile.Opened) (c *confinement, err error) {
	a.waitForStep("finding out what this machine can enforce")
	m, err := a.host.sandboxes.probe(ctx, a.host.provider)
	if err != nil {
		return nil, err
	}
	c = &confinement{Attempt: a, files: files}
	if c.how, c.report, err = m.choose(a.spec.Sandbox, user != nil && int(user.UID) != unix.Geteuid()); err != nil {
		return nil, err
	}
	if c.rules, err = a.openRules(ctx, user, a.spec.Sandbox, &files.Dir); err != nil {
		c.rules.close()
		return nil, err
	}
	return c, nil
}

// confined is a confinement whose start has begun, and its preparation.
type confined struct {
	preparation
	*confinement
	cancel context.CancelFunc

	done       chan struct{}          // is closed when the rest is valid
	namespaces *bubblewrap.Namespaces // nil with Landlock alone
	helper     int                    // the process of bubblewrap, 0 for none
	ruleset    int                    // -1 for none
	terminal   *stdio                 // nil unless the terminal is that of the sandbox
	err        error
}

// begin begins to make namespaces and the ruleset, and requests the exec step, which starts at the same
// time. The end of ctx ends this. What it returns replaces the preparation p.
func (c *confinement) begin(ctx context.Context, command *spawn.Command, stdio [3]int, p preparation) *confined {
	if command.Setup == nil {
		command.Setup = &spawn.Setup{}
	}
	user := command.Opened.User
	command.Setup.Sandbox = &spawn.Sandbox{PIDFD: -1, Ruleset: -1, Terminal: -1, Filter: seccomp.Filter(c.filter()), CoreLimit: true}
	command.Setup.Sandbox.ProtectDevices = c.how.namespaces && isSuperuser(user)
	d := &confined{preparation: p, confinement: c, done: make(chan struct{}), ruleset: -1}
	ctx, d.cancel = context.WithCancel(ctx)
	if c.waitForStep(stepRuleset); c.how.namespaces {
		c.waitForStep("making the namespaces")
	}
	go func() {
		defer close(d.done)
		d.err = d.make(ctx, user, stdio[0])
	}()
	return d
}

// isSuperuser reports whether a command has the user id 0, which owns the devices of the machine and
// files in /proc.
func isSuperuser(user *User) bool {
	if user == nil {
		return os.Geteuid() == 0
	}
	return user.UID == 0
}

// hasTerminals reports whether the sandbox has terminals of its own. A nil confinement has none.
func (c *confinement) hasTerminals() bool { return c != nil && c.how.namespaces }

// filter returns what the filter has to refuse.
func (c *confinement) filter() seccomp.Options {
	s := c.rules.config
	o := seccomp.Options{
		Network: s.Network.Mode, OwnNetwork: c.how.namespaces && s.Network.Mode != sandbox.FullNetwork,
		OwnProcesses: c.how.namespaces && s.Processes == sandbox.Own, Landlock: c.how.landlock,
		UnixSockets: s.UnixSockets,
	}
	if !c.how.namespaces {
		o.RefuseBareOpen = landlock.BareOpen()
		o.ReadOnly = s.Metadata != sandbox.FullMetadata // no file is writable then: see machine.landlockOnly
	}
	return o
}

// make makes the namespaces and the ruleset for a command with that standard input.
func (d *confined) make(ctx context.Context, user *User, stdin int) (err error) {
	if d.how.namespaces {
		c := d.bubblewrap()
		c.Superuser = isSuperuser(user)
		if d.spec.Terminal != nil {
			c.Terminal = func(ptmx int) error { return d.openTerminal(ptmx, user) }
		}
		if d.namespaces, err = bubblewrap.Start(ctx, c, d.forkHelper); err == nil {
			d.ruleset = d.namespaces.Ruleset
		}
		return err
	}
	d.ruleset, err = landlock.Ruleset(d.rules.config, landlock.Options{Open: d.rules.open, Always: d.rules.config.Hidden})
	if err == nil && d.spec.Terminal != nil {
		err = landlock.AllowTerminal(d.ruleset, stdin)
	}
	return err
}

// openTerminal opens the terminal of the command in the sandbox. So it has a name there, and none
// outside.
func (d *confined) openTerminal(ptmx int, user *User) error {
	p, err := terminal.OpenIn(ptmx, d.spec.Terminal.Rows, d.spec.Terminal.Cols)
	ends := onPair(p)
	if err == nil {
		err = ends.give(user)
	}
	if err != nil {
		return terminalError(err)
	}
	d.terminal = &ends
	return nil
}

// forkHelper forks bwrap, and keeps its process id.
func (d *confined) forkHelper(fork func() (pid int, err error)) (pid int, err error) {
	pid, err = d.host.provider.ForkHelper(fork)
	if err == nil && d.rules.config.Processes == sandbox.Own {
		d.helper = pid
	}
	return pid, err
}

func (d *confined) bubblewrap() *bubblewrap.Config {
	c := d.rules.config
	b := &bubblewrap.Config{
		Program: d.host.sandboxes.bwrap.Program, UserNS: d.how.userNS,
		Sandbox: c, Binds: d.rules.binds(), Links: d.rules.links(), Hidden: c.Hidden, ReadOnly: d.host.sandboxes.readOnly,
		Dir:      fileIn(&d.files.Dir),
		TmpBytes: d.host.sandboxes.tmpBytes,
		Anchors:  d.host.sandboxes.anchors.acquire,
		Observer: d.host.provider.Observer(), Poller: d.host.poller,
	}
	for i := range d.files.Programs {
		b.Programs = append(b.Programs, fileIn(&d.files.Programs[i]))
	}
	if d.how.landlock {
		b.Ruleset = func(open func(path string) (int, error)) (int, error) {
			return landlock.Ruleset(c, landlock.Options{Inside: true, Open: open})
		}
	}
	return b
}

func fileIn(f *execfile.File) bubblewrap.File {
	return bubblewrap.File{Path: f.Path, Dev: uint64(f.Info.Dev), Ino: f.Info.Ino}
}

// await waits until the sandbox is made, and passes it to the command. A terminal of the sandbox
// replaces ends.
func (d *confined) await(command *spawn.Command, ends *stdio) error {
	<-d.done
	if d.err != nil {
		return d.failure(d.err)
	}
	d.waitForPath(d.spec.Argv[0])
	s := command.Setup.Sandbox
	s.Ruleset = d.ruleset
	n := d.namespaces
	if n == nil {
		return nil
	}
	s.PIDFD, s.Flags = n.PIDFD, n.Flags
	if d.terminal != nil {
		ends.closeChild()
		*ends, d.terminal = *d.terminal, nil
		s.Terminal = ends.child[0]
	}
	command.Opened.Dir, command.Opened.Program = n.Dir, n.Programs[d.program]
	if n.Listener != nil && d.spec.Connections != nil {
		attr := *command.Attr
		attr.Env = withVariables(attr.Env, d.spec.Connections(n.Listener))
		command.Attr = &attr
	}
	return nil
}

// failure is the error of Start for a sandbox that could not be made.
func (d *confined) failure(err error) error {
	if e, ok := errors.AsType[*bubblewrap.NotVisibleError](err); ok {
		path := e.Path
		if path == d.files.Dir.Path && d.spec.Dir != "" {
			path = d.spec.Dir // as it was asked for
		}
		return &SpawnError{Path: path, Op: "sandbox", Errno: unix.ENOENT}
	}
	if e, ok := errors.AsType[*SpawnError](err); ok {
		return e
	}
	err = d.rules.asAsked(err)
	if isSandboxError(err) {
		return err
	}
	failed := &SandboxError{Step: stepRuleset, Why: err}
	if e, ok := errors.AsType[*bubblewrap.Error](err); ok {
		failed.Step = string(e.Step)
	}
	_ = errors.As(err, &failed.Errno)
	return failed
}

// release ends the sandbox: the kernel kills all that is left in its PID namespace. The leader was
// reaped, or it takes up to 4 s, since the namespace ends after all of its processes were reaped.
func (d *confined) release() {
	d.cancel()
	<-d.done
	if d.terminal != nil {
		d.terminal.closeChild()
		d.terminal.closeParent()
	}
	if d.namespaces != nil {
		d.namespaces.Close() // with its ruleset
	} else if d.ruleset >= 0 {
		_ = unix.Close(d.ruleset)
	}
	d.preparation.release()
}
