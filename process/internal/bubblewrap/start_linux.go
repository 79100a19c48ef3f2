package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap/holder"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

const (
	// startWait is how long a start may take.
	startWait = 10 * time.Second
	// maxMessage is how much of the error output of bwrap is in an error, in bytes.
	maxMessage = 1 << 10
)

// Step is a part of a start, in words for clients. It names no path.
type Step string

const (
	stepUnchanged  Step = "checking that bubblewrap is unchanged"
	stepPrepare    Step = "preparing the namespaces"
	stepExecute    Step = "executing bubblewrap"
	stepMake       Step = "making the namespaces"
	stepHolder     Step = "starting the holder of the namespaces"
	stepListen     Step = "listening for the proxy"
	stepNamespaces Step = "verifying the namespaces"
	stepMounts     Step = "verifying the mounts"
	stepRuleset    Step = "making the Landlock ruleset"
)

// Error means that bwrap or the holder failed. Its text is for operators: it may name paths of the
// server.
type Error struct {
	Step    Step   // what failed
	Program string // the path of bwrap; may be empty
	Message string // the error output of bwrap, in one line; may be empty
	Err     error
}

func (e *Error) Error() string {
	text := "sandbox: " + string(e.Step)
	if e.Program != "" {
		text += " (" + e.Program + ")"
	}
	text += ": " + e.Err.Error()
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Forker forks a child without a mark (mark.Table.ForkUnmarked).
type Forker func(f func() (pid int, err error)) (pid int, err error)

// errTooLong is the cause of the end of a start after startWait.
var errTooLong = fmt.Errorf("not done after %v: %w", startWait, unix.ETIMEDOUT)

// Start makes a sandbox, in at most startWait. The error is a *sandbox.PathError or a
// *NotVisibleError, whose paths are those of the config, a *sandbox.NotEnforceableError, or an *Error.
// If ctx ends first, it wraps the cause of that.
func Start(ctx context.Context, c *Config, fork Forker) (*Namespaces, error) {
	s := &starter{config: c}
	defer s.release()
	bounded, cancel := context.WithTimeoutCause(ctx, startWait, errTooLong)
	defer cancel()
	n, err := s.start(bounded, fork)
	if failed, ok := errors.AsType[*Error](err); ok {
		failed.Program = c.Program.Path
	}
	return n, err
}

// starter has what is needed until the sandbox is made. Descriptors of a child are in the order of
// their numbers there.
type starter struct {
	config *Config
	mounts []mount

	socket  *os.File // the own end
	stderr  int      // the own end of the pipe, non-blocking
	owned   []int    // descriptors that release closes
	anchors func()   // permits others to open anchors; nil for nothing
	inherit []int    // descriptors of bwrap
	program string   // the path by which its child executes bwrap
	argv    []string
}

func (s *starter) start(ctx context.Context, fork Forker) (n *Namespaces, err error) {
	if s.mounts, err = s.config.layout(ctx, s.config.protected(), s.own); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s.run(ctx, fork)
}

// ended returns an error if ctx has ended.
func ended(ctx context.Context, step Step) error {
	if ctx.Err() == nil {
		return nil
	}
	return &Error{Step: step, Err: context.Cause(ctx)}
}

// release closes what is not passed on.
func (s *starter) release() {
	for _, fd := range s.owned {
		_ = unix.Close(fd)
	}
	s.owned = nil
	if s.anchors != nil {
		s.anchors()
		s.anchors = nil
	}
	if s.socket != nil {
		_ = s.socket.Close()
	}
}

func (s *starter) own(fd int, err error) (int, error) {
	if err == nil {
		s.owned = append(s.owned, fd)
	}
	return fd, err
}

// pass gives bwrap a descriptor and returns its number there.
func (s *starter) pass(fd int) int {
	s.inherit = append(s.inherit, fd)
	return len(s.inherit) - 1
}

// open opens all descriptors and makes the arguments.
func (s *starter) open(ctx context.Context) error {
	program, err := s.own(s.config.Program.open())
	if err == nil {
		err = s.openRest(ctx, program)
	}
	switch {
	case errors.Is(err, errChanged):
		return &Error{Step: stepUnchanged, Err: err}
	case err != nil:
		return &Error{Step: stepPrepare, Err: err}
	}
	return nil
}

// openRest opens what bwrap, which is open, has to inherit.
func (s *starter) openRest(ctx context.Context, program int) error {
	null, err := s.own(unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0))
	if err != nil {
		return &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	s.owned = append(s.owned, pipe[0], pipe[1])
	s.stderr = pipe[0]
	if err := unix.SetNonblock(s.stderr, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	s.owned = append(s.owned, pair[1])
	_ = unix.SetNonblock(pair[0], true)
	s.socket = os.NewFile(uintptr(pair[0]), "holder") // in the runtime's poller
	s.inherit = []int{null, null, pipe[1], pair[1]}   // the last one is holder.Socket
	s.program = s.descriptor(program)
	if err := s.openAnchors(ctx); err != nil {
		return err
	}
	command, err := s.command()
	if err != nil {
		return err
	}
	options, err := s.options()
	if err != nil {
		return err
	}
	s.argv = append(append([]string{"bwrap"}, options...), command...)
	return nil
}

func (s *starter) openAnchors(ctx context.Context) (err error) {
	n := 0
	for i := range s.mounts {
		if s.mounts[i].kind == anchor {
			n++
		}
	}
	if n > 0 && s.config.Anchors != nil {
		if s.anchors, err = s.config.Anchors(ctx, n); err != nil {
			return err
		}
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	for i := range s.mounts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if m := &s.mounts[i]; m.kind == anchor {
			if m.fd, err = s.own(unix.Openat2(unix.AT_FDCWD, m.path, &how)); err != nil {
				return &os.PathError{Op: "open", Path: m.path, Err: err}
			}
		}
	}
	return nil
}

// command opens this program and returns the arguments to execute it as the holder.
func (s *starter) command() (argv []string, err error) {
	exe, err := s.own(unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0))
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/proc/self/exe", Err: err}
	}
	load, err := ownLoader()
	if err != nil {
		return nil, err
	}
	files, err := load.open()
	s.owned = append(s.owned, files...)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		var directories []string
		argv = []string{s.descriptor(files[0]), "--library-path"}
		for _, fd := range files[1:] {
			directories = append(directories, s.descriptor(fd))
		}
		argv = append(argv, strings.Join(directories, ":"))
	}
	name := holder.Name
	if s.config.Sandbox.Network.Mode == sandbox.AllowList {
		name = holder.NameListen
	}
	return append(argv, s.descriptor(exe), name), nil
}

// descriptor passes a descriptor and returns its path in the child that executes bwrap, and in the
// holder.
func (s *starter) descriptor(fd int) string { return holder.Program + strconv.Itoa(s.pass(fd)) }

// options returns the arguments of bwrap before the command. All but a few are in a file, so that
// they are not in the process table.
func (s *starter) options() ([]string, error) {
	text, err := encode(append(s.config.options(), arguments(s.mounts, s.pass)...))
	if err != nil {
		return nil, err
	}
	file, err := s.memory("arguments", text)
	if err != nil {
		return nil, err
	}
	options := []string{"--args", strconv.Itoa(s.pass(file))}
	if len(s.config.Filter) > 0 {
		if file, err = s.memory("filter", encodeFilter(s.config.Filter)); err != nil {
			return nil, err
		}
		options = append(options, "--seccomp", strconv.Itoa(s.pass(file)))
	}
	return append(options, "--"), nil
}

// memory returns a file with that content.
func (s *starter) memory(name string, content []byte) (int, error) {
	fd, err := s.own(unix.MemfdCreate(name, unix.MFD_CLOEXEC))
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for len(content) > 0 {
		n, err := unix.Write(fd, content)
		if err != nil {
			return -1, os.NewSyscallError("write", err)
		}
		content = content[n:]
	}
	_, err = unix.Seek(fd, 0, io.SeekStart)
	return fd, os.NewSyscallError("lseek", err)
}

// run starts bwrap and waits until the sandbox is made.
func (s *starter) run(ctx context.Context, fork Forker) (*Namespaces, error) {
	if err := ended(ctx, stepMake); err != nil {
		return nil, err
	}
	n := &Namespaces{PIDFD: -1, Flags: s.config.flags(), Dir: -1, Ruleset: -1, root: -1, exited: make(chan struct{})}
	if err := s.fork(n, fork); err != nil {
		return nil, &Error{Step: stepExecute, Err: err}
	}
	n.socket, s.socket = s.socket, nil
	n.bwrap.OnExit(func(error) { n.reap() })
	ofBwrap := []int{s.inherit[2], s.inherit[holder.Socket]}
	for _, fd := range ofBwrap {
		_ = unix.Close(fd)
	}
	s.owned = slices.DeleteFunc(s.owned, func(fd int) bool { return slices.Contains(ofBwrap, fd) })
	err := s.receive(ctx, n)
	if err == nil {
		err = s.enter(ctx, n)
	}
	if err == nil {
		err = ended(ctx, stepMake)
	}
	if err != nil {
		if ctx.Err() != nil {
			n.abort()
		}
		n.Close()
		if failed, ok := errors.AsType[*Error](err); ok {
			failed.Message = s.message()
		}
		return nil, err
	}
	return n, nil
}

// fork executes bwrap, in a session of its own: one signal to its process group reaches its child
// too, which has no other bond to it before the holder is executed.
func (s *starter) fork(n *Namespaces, fork Forker) error {
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Files: make([]uintptr, len(s.inherit)),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	for i, fd := range s.inherit {
		attr.Files[i] = uintptr(fd)
	}
	leader.RequestPidfd(attr.Sys, &pidfd)
	pid, err := fork(func() (int, error) { return syscall.ForkExec(s.program, s.argv, attr) })
	if err != nil {
		if pidfd >= 0 {
			_ = unix.Close(pidfd)
		}
		return err
	}
	n.bwrap = leader.New(pid, pidfd, s.config.Poller)
	n.bwrap.Observer = s.config.Observer
	return nil
}

// message returns what bwrap has written to its error output, in one line. It has exited.
func (s *starter) message() string {
	text := make([]byte, maxMessage)
	n := 0
	for n < len(text) {
		more, err := unix.Read(s.stderr, text[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || more == 0 {
			break
		}
		n += more
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(text[:n]), "?")), " ")
}
