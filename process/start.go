package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec says what to run. Nothing is taken from the server's environment.
type Spec struct {
	// Argv is the program and its arguments, at least the program. A program without a slash is looked
	// for in the PATH of Env, as execvp(3) does; a relative one with a slash is relative to Dir. A file
	// without #! that is no program is refused (ENOEXEC), never given to a shell.
	Argv []string
	// Dir is the working directory; "" is the server's own.
	Dir string
	// Env is the complete environment, each as name=value; of doubled names the first counts for PATH.
	Env []string
	// Stdin gives the child a pipe as its standard input, in place of /dev/null.
	Stdin bool
	// MergeStderr makes standard error the same open pipe as standard output, so that what is written to them comes in the
	// order in which it was written. On a terminal both are the same anyway.
	MergeStderr bool
	// Terminal, if not nil, gives the child a terminal in place of all three pipes; Stdin is then of no
	// effect. TERM in Env gives way to the terminal's.
	Terminal *Terminal
	// StopSignal is the first signal whenever the tree is to end; 0 is SIGTERM.
	StopSignal syscall.Signal
	// Limits bound the tree, from before the first instruction of the program.
	Limits Limits
	// Attributes are what the program inherits otherwise than from this process.
	Attributes Attributes
}

// SpawnError says why a command did not start. It never holds an argument or an environment value.
type SpawnError struct {
	// Path is the directory for "chdir", /dev/ptmx for "pty", a file of a control group for what is done there, else the
	// program as it was asked for.
	Path string
	// Op is "chdir", "exec" (with fork), "pty", "pipe" when no descriptors were to be had, or what was done in a control
	// group: "mkdir", "open", "write".
	Op    string
	Errno syscall.Errno // EINVAL for a NUL byte, which no path, argument or variable can hold
}

func (e *SpawnError) Error() string { return fmt.Sprintf("%s %q: %v", e.Op, e.Path, e.Errno) }

// Unwrap makes errors.Is(err, fs.ErrNotExist) and the like work.
func (e *SpawnError) Unwrap() error { return e.Errno }

// Start is an [Attempt] that nothing ends early.
func (h *Host) Start(spec Spec) (*Process, error) {
	return h.Attempt(spec).Start(context.Background())
}

// attr is what a fork takes of spec. A new session has no controlling terminal: a command must not read from, write to or
// get signals from the terminal on which the server was started.
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

// check finds what no system call could express.
func (s *Spec) check() error {
	if len(s.Argv) == 0 {
		return &SpawnError{Op: "exec", Errno: syscall.EINVAL}
	}
	if strings.IndexByte(s.Dir, 0) >= 0 {
		return &SpawnError{Path: s.Dir, Op: "chdir", Errno: syscall.EINVAL}
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

// refusal explains a failed start. The child reports one errno for chdir and exec alike, so the directory
// is tried again here: the "/." makes the look-up need what chdir(2) needs, a directory one may search.
func (s *Spec) refusal(err error) error {
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return limit
	}
	if attribute, ok := errors.AsType[*AttributeError](err); ok {
		return attribute
	}
	if told, ok := errors.AsType[*SpawnError](err); ok {
		return told
	}
	if group, ok := errors.AsType[*fs.PathError](err); ok {
		return &SpawnError{Path: group.Path, Op: group.Op, Errno: errnoOf(err)}
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

// stdio is the two sides of a child's standard descriptors, -1 where there is none. Of a terminal the child
// has its slave, three times the same, and we its master, once to write and once to read. Where stderr is merged the child
// has the pipe of stdout twice.
type stdio struct {
	child  [3]int // blocking, as programs expect
	parent [3]int // non-blocking, for the poller: stdin's write end, two read ends
}

func (s *Spec) openStdio() (stdio, error) {
	if s.Terminal != nil {
		ends, err := s.Terminal.open()
		if err != nil {
			err = &SpawnError{Path: "/dev/ptmx", Op: "pty", Errno: errnoOf(err)}
		}
		return ends, err
	}
	ends, err := openPipes(s.Stdin, s.MergeStderr)
	if err != nil {
		err = &SpawnError{Path: s.Argv[0], Op: "pipe", Errno: errnoOf(err)}
	}
	return ends, err
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

func (s *stdio) files() (stdin *os.File, stdout, stderr *Pipe) {
	if s.parent[0] >= 0 {
		stdin = os.NewFile(uintptr(s.parent[0]), "stdin")
	}
	if s.parent[2] >= 0 {
		stderr = newPipe(s.parent[2], "stderr")
	}
	return stdin, newPipe(s.parent[1], "stdout"), stderr
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
