//go:build linux

package escape

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// jail runs commands under a restriction.
type jail struct {
	name string
	// needs are the mechanisms, as in RUNNEL_TEST_REQUIRE.
	needs []string
	// unavailable says why the machine does not have them, "" if it has.
	unavailable func() string
	// promises is what the jail has to refuse; nil is nothing, because there is no restriction.
	promises []part
	// start starts a command.
	start func(t testing.TB, w *world, c command) *running
}

// command is what runs in a jail, in w.Work.
type command struct {
	argv     []string
	env      []string
	terminal bool
}

// running is a command in a jail.
type running struct {
	stdin  io.Writer
	stdout io.Reader // with stderr
	end    func()    // waits for the end
}

// environment is that of all commands. Go is often not in the usual directories.
func environment() []string {
	path := "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
	if program, err := exec.LookPath("go"); err == nil {
		path += ":" + filepath.Dir(program)
	}
	return []string{"PATH=" + path, "GOTRACEBACK=single", "GOTOOLCHAIN=local", "GOFLAGS="}
}

// plain runs commands without a sandbox. As root, mounts are not those of the machine.
var plain = jail{
	name:        "plain",
	unavailable: func() string { return "" },
	start: func(t testing.TB, w *world, c command) *running {
		attr := &syscall.SysProcAttr{}
		if w.uid == 0 {
			attr.Unshareflags = syscall.CLONE_NEWNS
		}
		return startProcess(t, w, c, attr)
	},
}

// startProcess starts a command as the user of the world.
func startProcess(t testing.TB, w *world, c command, attr *syscall.SysProcAttr) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), proctest.Patience)
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = w.Work, slices.Concat(environment(), c.env), attr
	attr.Setsid = true
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with what bwrap has forked
	asUser(attr, w.uid)
	var (
		r     *running
		files []*os.File
		err   error
	)
	if c.terminal {
		r, files, err = onTerminal(cmd, w.uid)
	} else {
		r, files, err = onPipes(cmd)
	}
	if err == nil {
		err = cmd.Start()
	}
	closeAll(files)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ends := []*os.File{r.stdout.(*os.File)}
	if stdin := r.stdin.(*os.File); stdin != ends[0] {
		ends = append(ends, stdin)
	}
	r.end = func() {
		_ = cmd.Wait()
		cancel()
		closeAll(ends)
	}
	return r
}

func onPipes(cmd *exec.Cmd) (*running, []*os.File, error) {
	input, stdin, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, output, err := os.Pipe()
	if err != nil {
		closeAll([]*os.File{input, stdin})
		return nil, nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, output, output
	return &running{stdin: stdin, stdout: stdout}, []*os.File{input, output}, nil
}

func onTerminal(cmd *exec.Cmd, uid int) (*running, []*os.File, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	if os.Geteuid() == 0 {
		err = slave.Chown(uid, uid)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true
	return &running{stdin: master, stdout: master}, []*os.File{slave}, err
}

func closeAll(list []*os.File) {
	for _, f := range list {
		_ = f.Close()
	}
}

// bubblewrapArgs are the arguments of bwrap for the sandbox of a world. The command has the path
// that it has outside. It is not killed with its parent (--die-with-parent): that is a thread, and package
// process has threads that end (PR_SET_PDEATHSIG).
func bubblewrapArgs(w *world) []string {
	args := []string{"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"}
	if w.config.Network.Mode != sandbox.FullNetwork {
		args = append(args, "--unshare-net")
	}
	if w.config.FilesDefault == sandbox.Read {
		args = append(args, "--ro-bind", "/", "/")
	}
	args = append(args, "--dev", "/dev", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
	if w.config.Tmp == sandbox.Private {
		args = append(args, "--tmpfs", "/tmp")
	}
	rules := slices.Clone(w.config.Files)
	slices.SortFunc(rules, func(a, b sandbox.Rule) int { return len(a.Path) - len(b.Path) })
	for _, rule := range rules {
		if rule.Missing == sandbox.Create {
			_ = os.Mkdir(rule.Path, 0o755)
		}
		switch info, err := os.Stat(rule.Path); {
		case err != nil:
		case rule.Access == sandbox.Write:
			args = append(args, "--bind", rule.Path, rule.Path)
		case rule.Access == sandbox.Read:
			args = append(args, "--ro-bind", rule.Path, rule.Path)
		case info.IsDir():
			args = append(args, "--perms", "0000", "--tmpfs", rule.Path, "--remount-ro", rule.Path)
		default:
			args = append(args, "--ro-bind", "/dev/null", rule.Path)
		}
	}
	return append(args, "--chdir", w.Work)
}

// assembled is a jail of bwrap, Landlock and seccomp without package process.
func assembled(name string, r restriction, promises ...part) jail {
	var needs []string
	if r.Inside {
		needs = append(needs, "bubblewrap")
	}
	if r.Landlock {
		needs = append(needs, "landlock")
	}
	return jail{
		name: name, needs: needs, promises: promises,
		unavailable: func() string {
			if why := r.lacks(); why != "" || !r.Inside {
				return why
			}
			return lacksBubblewrap()
		},
		start: func(t testing.TB, w *world, c command) *running {
			if r.Inside {
				c = confined(t, w, c, r)
				c.argv = slices.Concat([]string{"bwrap"}, bubblewrapArgs(w), c.argv)
			} else {
				w.config.Processes = sandbox.Shared // the others cannot be enforced
				c = confined(t, w, c, r)
			}
			return startProcess(t, w, c, &syscall.SysProcAttr{})
		},
	}
}

func lacksBubblewrap() string {
	out, err := exec.Command("bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true").CombinedOutput()
	if err != nil {
		return "bwrap: " + err.Error() + " " + strings.TrimSpace(string(out))
	}
	return ""
}

// supports reports whether the jail has what a part names. Without restrictions everything is there.
func (j *jail) supports(p part) bool {
	return j.promises == nil || p == "" || p == always || slices.Contains(j.promises, p)
}
