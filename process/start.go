package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/poller"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Spec is a command to run. It does not inherit the environment of this process.
type Spec struct {
	// Argv is the program and its arguments, at least the program. A program without a slash is
	// looked up in the PATH of Env, as by execvp(3); a relative one with a slash is relative to
	// Dir. A file that is no program and has no #! is refused (ENOEXEC), and not given to a shell.
	Argv []string
	// Dir is the working directory; "" is that of this process.
	Dir string
	// Env is the complete environment, as name=value. If PATH is there twice, the first one is used
	// for the lookup.
	Env []string
	// Stdin makes the standard input a pipe instead of /dev/null.
	Stdin bool
	// MergeStderr makes standard error the same pipe as standard output, so that the order of
	// writes to both is kept. On a terminal they are always the same.
	MergeStderr bool
	// Terminal, if not nil, makes all three a terminal; Stdin is then ignored, and TERM in Env is
	// replaced.
	Terminal *Terminal
	// StopSignal is the signal of Terminate and Sweep; 0 is SIGTERM.
	StopSignal syscall.Signal
	// Limits limit the tree from the first instruction of the program on.
	Limits Limits
	// Attributes are inherited attributes that differ from those of this process.
	Attributes Attributes
	// Tag is what Host.TagOfPeer returns for a process of the tree.
	Tag any
	// User, if not nil, is whom the command runs as. Then no capability of this process, no
	// supplementary group and no key of its session keyring is inherited; the environment is Env as
	// ever, so the caller sets HOME, USER, LOGNAME and SHELL. The directory and the program are
	// found, entered and executed with the rights of the user. A set-user-ID program still gets the
	// rights of its owner, unless Attributes.NoNewPrivileges is set. It requires Linux 5.6, a program
	// that calls Step, and CAP_SETUID, CAP_SETGID and CAP_KILL, unless it is the user of this
	// process.
	User *User
	// Check, if not nil, is called before the fork with what was opened. An error refuses the
	// start, which returns it unchanged. What is executed and entered then is what was opened, also
	// if a name refers to something else by then, except for two names: an interpreter opens its
	// script at File.Path, and the kernel opens the dynamic linker by its name. So whoever can write
	// to the directories of these paths decides what is executed. Check may be called from any
	// goroutine. It requires Linux 5.6 and a program that calls Step. With a User or a Check, magic
	// links (proc(5)) are not followed, a script gets its resolved path as $0, and handlers of
	// binfmt_misc are not used.
	Check func(Opened) error
	// Sandbox, if not nil, is what the command may reach; nil is everything. It is complete and valid
	// (sandbox.Config.Check, apart from the number of rules) and is not changed from Start on. The files
	// of the command are opened as with a Check, and have to be visible in the sandbox. A sandboxed
	// command has no capabilities, also as root, and no_new_privs is set. It requires Linux and a
	// program that calls Step.
	Sandbox *sandbox.Config
	// Connections, if not nil, is called if the network of the Sandbox is sandbox.AllowList, before the
	// first instruction of the program. The listener accepts what processes in the sandbox connect to,
	// on an address that is loopback there. The result, as name=value, is added to the environment of
	// the command, and replaces variables. It does not block. Process.Close closes the listener, and so
	// does Start if it fails after this.
	Connections func(net.Listener) (env []string)
}

// SpawnError says why a command did not start. It contains no argument and no environment value.
type SpawnError struct {
	// Path is the directory for "chdir", /dev/ptmx for "pty", a file of a cgroup for an operation
	// there, a file of the command that is not visible in its sandbox, and otherwise the program as in
	// Argv.
	Path string
	// Op is "chdir", "exec" (with the fork), "pty", "pipe" (no descriptors were available), "user"
	// (this process may not run the program as Spec.User), "sandbox" (Path is not visible in the
	// sandbox, which is ENOENT), or an operation in a cgroup: "mkdir", "open", "write".
	Op    string
	Errno syscall.Errno // EINVAL for a NUL byte, which paths, arguments and variables cannot contain
}

func (e *SpawnError) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Path, e.Errno) }

// Unwrap makes errors.Is(err, fs.ErrNotExist) and the like work.
func (e *SpawnError) Unwrap() error { return e.Errno }

// Start runs a command: see [Attempt.Start].
func (h *Host) Start(spec Spec) (*Process, error) {
	return h.Attempt(spec).Start(context.Background())
}

// attr returns the attributes of the fork. A new session has no controlling terminal: a command
// must not use the terminal on which the server was started, nor get signals from it.
func (s *Spec) attr(stdio [3]int) *syscall.ProcAttr {
	sys, env := &syscall.SysProcAttr{Setsid: true}, s.Env
	if t := s.Terminal; t != nil {
		sys.Setctty, sys.Ctty = true, 0
		env = t.env(env)
	}
	return &syscall.ProcAttr{
		Dir:   s.Dir,
		Env:   env,
		Files: []uintptr{uintptr(stdio[0]), uintptr(stdio[1]), uintptr(stdio[2])},
		Sys:   sys,
	}
}

// check returns an error for what cannot be passed to a system call.
func (s *Spec) check() error {
	if len(s.Argv) == 0 {
		return &SpawnError{Op: "exec", Errno: syscall.EINVAL}
	}
	if strings.IndexByte(s.Dir, 0) >= 0 {
		return &SpawnError{Path: s.Dir, Op: "chdir", Errno: syscall.EINVAL}
	}
	if s.User != nil && s.User.Check() != nil {
		return s.userError(syscall.EINVAL)
	}
	lists := [][]string{s.Argv, s.Env}
	if s.Terminal != nil {
		lists = append(lists, []string{s.Terminal.Term})
	}
	for _, list := range lists {
		for _, item := range list {
			if strings.IndexByte(item, 0) >= 0 {
				return &SpawnError{Path: s.Argv[0], Op: "exec", Errno: syscall.EINVAL}
			}
		}
	}
	return nil
}

// userError is the error of a program that cannot be run as its user.
func (s *Spec) userError(errno syscall.Errno) error {
	return &SpawnError{Path: s.Argv[0], Op: "user", Errno: errno}
}

// refusal converts the error of a failed start. The child reports the same errno for chdir and
// exec, so the directory is checked again here. The "/." requires what chdir(2) requires: a
// directory with search permission.
func (s *Spec) refusal(err error) error {
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return limit
	}
	if attribute, ok := errors.AsType[*AttributeError](err); ok {
		return attribute
	}
	if spawn, ok := errors.AsType[*SpawnError](err); ok {
		return spawn
	}
	if failed, ok := errors.AsType[*SandboxError](err); ok {
		return failed
	}
	if isSandboxError(err) {
		return err
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok { // of a cgroup
		return &SpawnError{Path: file.Path, Op: file.Op, Errno: errnoOf(err)}
	}
	if s.Dir != "" {
		if derr := unix.Faccessat(unix.AT_FDCWD, s.Dir+"/.", unix.F_OK, unix.AT_EACCESS); derr != nil {
			return &SpawnError{Path: s.Dir, Op: "chdir", Errno: errnoOf(derr)}
		}
	}
	return &SpawnError{Path: s.Argv[0], Op: "exec", Errno: errnoOf(err)}
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EIO
}

// stdio is the standard descriptors of a child and their other ends, -1 for none. On a terminal the
// child has the slave three times, and this process the master twice: to write and to read. If
// stderr is merged, the child has the pipe of stdout twice.
type stdio struct {
	child  [3]int // blocking, as programs expect
	parent [3]int // non-blocking, for the poller: the write end of stdin and two read ends

	terminal bool // child is the slave
}

// openStdio opens the standard descriptors, which belong to the user of the command. After an error
// none is open. If the terminal is that of a sandbox, they are /dev/null until that is made.
func (s *Spec) openStdio(e *executable) (ends stdio, err error) {
	switch {
	case s.Terminal == nil:
		ends, err = openPipes(s.Stdin, s.MergeStderr)
	case e.confinement.hasTerminals():
		ends, err = openNull()
	default:
		ends, err = s.Terminal.open()
	}
	if err == nil && e.opened != nil {
		err = ends.give(e.opened.User)
	}
	switch {
	case err == nil:
		return ends, nil
	case ends.terminal:
		return ends, terminalError(err)
	}
	return ends, &SpawnError{Path: s.Argv[0], Op: "pipe", Errno: errnoOf(err)}
}

// terminalError is the error of a terminal that could not be opened.
func terminalError(err error) error {
	return &SpawnError{Path: "/dev/ptmx", Op: "pty", Errno: errnoOf(err)}
}

func openNull() (stdio, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	return stdio{child: [3]int{fd, fd, fd}, parent: [3]int{-1, -1, -1}}, err
}

func openPipes(stdin, merge bool) (s stdio, err error) {
	s = stdio{child: [3]int{-1, -1, -1}, parent: [3]int{-1, -1, -1}}
	defer func() {
		if err != nil {
			s.closeChild()
			s.closeParent()
		}
	}()
	if stdin {
		s.child[0], s.parent[0], err = openPipe()
	} else {
		s.child[0], err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	for fd := 1; fd <= 2 && err == nil; fd++ {
		if merge && fd == 2 {
			s.child[2] = s.child[1]
			break
		}
		s.parent[fd], s.child[fd], err = openPipe()
	}
	for fd := 0; fd <= 2 && err == nil; fd++ {
		if s.parent[fd] >= 0 {
			err = unix.SetNonblock(s.parent[fd], true)
		}
	}
	return s, err
}

func (s *stdio) files(p *poller.Poller) (stdin *os.File, stdout, stderr *Pipe) {
	if s.parent[0] >= 0 {
		stdin = os.NewFile(uintptr(s.parent[0]), "stdin")
	}
	if s.parent[2] >= 0 {
		stderr = newPipe(s.parent[2], p)
	}
	return stdin, newPipe(s.parent[1], p), stderr
}

func (s *stdio) closeChild()  { closeAll(s.child) }
func (s *stdio) closeParent() { closeAll(s.parent) }

func closeAll(fds [3]int) {
	for i, fd := range fds {
		if fd >= 0 && (i == 0 || fd != fds[i-1]) {
			_ = unix.Close(fd)
		}
	}
}
