package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
)

// launchers are programs that start other programs, by their names without a version. No such list
// is complete.
var launchers = []string{
	"ash", "awk", "bash", "busybox", "bwrap", "cargo", "chroot", "cmake", "csh", "dash", "docker", "ed", "emacs", "env", "ex",
	"find", "fish", "flock", "gawk", "gdb", "git", "go", "ionice", "java", "ksh", "less", "lua", "luajit", "make", "man", "mawk", "more",
	"nice", "nim", "node", "nohup", "npm", "npx", "nsenter", "nvim", "parallel", "perl", "php", "podman", "python", "rsync", "ruby",
	"runnel", "runuser", "scp", "script", "sed", "setarch", "setpriv", "setsid", "sftp", "sh", "socat", "ssh", "start-stop-daemon",
	"stdbuf", "strace", "su", "sudo", "systemd-run", "tar", "taskset", "tclsh", "tcsh", "time", "timeout", "tmux", "unshare", "vi", "vim",
	"watch", "xargs", "zip", "zsh",
}

// Warnings returns what an operator should know about the sections that permit execute, one sentence
// each. It looks at the files that the policy names, and may wait for file systems.
func (p *Policy) Warnings() []string {
	var all []string
	for _, s := range p.all() {
		if !s.mayCall(rpc.MethodExecute) {
			continue
		}
		warn := func(key, format string, args ...any) {
			all = append(all, s.rule(key)+": "+fmt.Sprintf(format, args...))
		}
		if s.shell {
			warn("shell", "a shell starts every program that its user may execute: the list of programs restricts nothing")
		}
		if !s.shell && len(s.programs) == 0 {
			warn("programs", "is empty, and no shell is permitted: nothing can be executed")
		}
		if len(s.directories) == 0 {
			warn("directories", "is empty: nothing can be executed")
		}
		s.warnPrograms(&p.trust, warn)
		s.warnUsers(*p.options.Server, warn)
		s.warnEnvironment(warn)
	}
	return all
}

type warnFunc func(key, format string, args ...any)

func (s *section) warnPrograms(t *trust, warn warnFunc) {
	for i := range s.programs {
		pr := &s.programs[i]
		key := strings.TrimPrefix(pr.rule, s.name+".")
		if pr.writable {
			warn(key, "writable: whoever can write to %s decides what is executed", pr.path)
		}
		if pr.directory {
			warn(key, "permits every file of %s, also those that are added later", pr.dir)
			continue
		}
		names := []string{path.Base(pr.path)}
		weak, real, err := t.describe(pr.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			warn(key, "%s does not exist", pr.path)
		case err != nil:
			warn(key, "%v", err)
		default:
			names = append(names, path.Base(real))
			if weak != "" && !pr.writable {
				warn(key, "will be refused, since it is not safe from the users of the policy: %s", weak)
			}
		}
		if slices.ContainsFunc(names, isLauncher) {
			warn(key, "%s can start other programs: it permits all that its user may execute, unless args prevent this", pr.path)
		}
	}
}

// isLauncher reports whether a file name is that of a launcher, perhaps with a version.
func isLauncher(name string) bool {
	known := func(name string) bool { return slices.Contains(launchers, strings.TrimRight(name, "0123456789.")) }
	first, _, _ := strings.Cut(name, "-")
	return known(name) || known(first)
}

func (s *section) warnUsers(server int, warn warnFunc) {
	if len(s.users) == 0 {
		warn("user", "is not set: commands run as the server's own user, and may read and signal what the server may")
	}
	if s.setUserID {
		warn("set_user_id_programs", "such programs run with the rights of their owners, to which this policy does not apply")
	}
	for _, u := range s.users {
		switch int(u.UID) {
		case 0:
			warn("user", "%s is root, whom no file is safe from", u.Name)
		case server:
			warn("user", "%s is the server's own user", u.Name)
		}
	}
}

func (s *section) warnEnvironment(warn warnFunc) {
	for _, name := range s.env.accept {
		if !strings.HasSuffix(name, "*") && isDangerous(name) {
			warn("environment.accept", "by %s a request may make programs load or start other files", name)
		}
	}
}
