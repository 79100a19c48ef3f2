package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNoStep means that this program does not call RunStep.
var ErrNoStep = errors.New("process: Step was not called")

// stepName is argv[0] of the exec step. Its other arguments are the number of descriptors of the
// program, the working directory, "" for its own, the path of the program, and the argv of the
// program.
//
// The step has two descriptors more than the program, after those, which the exec closes. From the
// first one it reads the order, or the end of file if it is to exit. To the second one it writes a
// byte when it waits for the order, and an encoded Error if it fails. With Command.Opened two more
// follow: the working directory and the program. The environment of the program is then part of the
// order: the step itself has none, since it may have other rights than the program, and a dynamic
// linker or the Go runtime would follow some variables.
//
// With Setup.Sandbox, the first descriptor is a socket. The order and then these descriptors and those
// of the sandbox come through it, since they may not exist when the step starts: see Step.Enter.
const stepName = "runnel-step"

var stepReady atomic.Bool

// StepReady reports whether this program calls RunStep, so that StartStep works.
func StepReady() bool { return stepReady.Load() }

// RunStep is called first in main. If this process was started as the exec step, it waits for the
// order, executes the program, and does not return.
func RunStep() {
	if len(os.Args) < 5 || os.Args[0] != stepName {
		stepReady.Store(true)
		return
	}
	orderFD, err := strconv.Atoi(os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	statusFD := orderFD + 1
	closeOnExecFrom(orderFD)
	debug.SetGCPercent(-1)
	runtime.LockOSThread() // the nice value and the user belong to a thread
	_, _ = unix.Write(statusFD, []byte{1})
	// From here on the runtime must not start a thread, since the limit of processes may be 1. So
	// the system calls, for which the thread waits, bypass the runtime.
	var o order
	if !o.read(orderFD) {
		os.Exit(1)
	}
	if o.flags&sandboxed != 0 {
		o.execSandboxed(orderFD, statusFD)
	}
	o.apply(statusFD)
	if o.flags&byDescriptor != 0 {
		o.execOpened(statusFD)
	}
	if dir := os.Args[2]; dir != "" {
		path, _ := unix.BytePtrFromString(dir) // no argument contains NUL
		if _, _, errno := unix.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(path)), 0, 0); errno != 0 {
			failStep(statusFD, Chdir, errno)
		}
	}
	err = syscall.Exec(os.Args[3], os.Args[4:], os.Environ())
	errno, _ := errors.AsType[syscall.Errno](err)
	failStep(statusFD, Exec, errno)
}

// closeOnExecFrom makes an exec close all descriptors from one on, also those that the server has
// inherited itself or opened without O_CLOEXEC.
func closeOnExecFrom(first int) {
	if unix.CloseRange(uint(first), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil { // Linux 5.11
		return
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	unix.CloseOnExec(first)
	unix.CloseOnExec(first + 1)
}

func failStep(statusFD int, op Op, errno syscall.Errno) {
	b := binary.NativeEndian.AppendUint32(nil, failed)
	b = binary.NativeEndian.AppendUint32(b, uint32(op))
	_, _ = unix.Write(statusFD, binary.NativeEndian.AppendUint32(b, uint32(errno)))
	os.Exit(1)
}

// Step is an exec step, as its parent sees it.
type Step struct {
	command *Command
	order   *os.File
	status  *os.File
	entered bool // Enter was successful
}

// StartStep starts the exec step for a program. It does not wait for the step. The caller passes
// the setup of the program to Continue. With Setup.Sandbox, only the presence of Command.Opened and
// of the sandbox matters at this time; what they contain is used by Enter and Continue, so that the
// step can start meanwhile.
func StartStep(c *Command) (pid int, s *Step, err error) {
	sandboxed := c.sandbox() != nil
	orderRead, orderWrite, err := openOrder(sandboxed)
	if err != nil {
		return -1, nil, err
	}
	statusRead, statusWrite, err := os.Pipe()
	if err != nil {
		_, _ = orderRead.Close(), orderWrite.Close()
		return -1, nil, err
	}
	s = &Step{command: c, order: orderWrite, status: statusRead}
	step := *c.Attr
	step.Dir = ""
	step.Files = append(step.Files[:len(step.Files):len(step.Files)], orderRead.Fd(), statusWrite.Fd())
	if c.Opened != nil {
		step.Env = []string{"GOMAXPROCS=1"} // the Go runtime starts faster
	}
	switch {
	case sandboxed: // its end must not take the terminal from the command
		sys := *step.Sys
		sys.Setctty = false
		step.Sys = &sys
	case c.Opened != nil:
		step.Files = append(step.Files, uintptr(c.Opened.Dir), uintptr(c.Opened.Program))
	}
	pid, err = syscall.ForkExec("/proc/self/exe", append([]string{stepName, strconv.Itoa(len(c.Attr.Files)), c.Attr.Dir, c.Path}, c.Argv...), &step)
	_, _ = orderRead.Close(), statusWrite.Close()
	if err != nil {
		s.close()
		return -1, nil, err
	}
	return pid, s, nil
}

// openOrder opens what carries the order: a pipe or, with a sandbox, a socket.
func openOrder(sandboxed bool) (child, own *os.File, err error) {
	if sandboxed {
		return openSocket()
	}
	return os.Pipe()
}

// sandbox returns the sandbox of a command, or nil.
func (c *Command) sandbox() *Sandbox {
	if c.Setup == nil {
		return nil
	}
	return c.Setup.Sandbox
}

func (s *Step) close() { _, _ = s.order.Close(), s.status.Close() }

// Continue applies the setup of the command to the step, and returns when the step has executed the
// program or has ended. The end of ctx kills it. After an error it has not executed an instruction
// of the program, and the caller kills and reaps it. An *Error is what failed in the step. The
// caller does not reap the step meanwhile. After Enter all this is about the process that becomes the
// command, pid.
func (s *Step) Continue(ctx context.Context, pid int) error {
	defer s.close()
	if s.entered {
		return s.unlessDone(ctx, pid, func() error { return s.proceedEntered(pid) })
	}
	return s.unlessDone(ctx, pid, func() error { return s.proceed(pid) })
}

// Close is called instead of Continue.
func (s *Step) Close() { s.close() }

// unlessDone calls f. The end of ctx kills a process, or a process group if pid is negative. Its
// number is not reused, since the step is not reaped.
func (s *Step) unlessDone(ctx context.Context, pid int, f func() error) error {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.Kill(pid, unix.SIGKILL)
	})
	err := f()
	if !stop() {
		<-killed
	}
	return err
}

func (s *Step) proceed(pid int) error {
	if err := s.awaitReady(); err != nil {
		return err
	}
	if setup := s.command.Setup; setup != nil {
		if err := setup.apply(pid); err != nil {
			return err
		}
	}
	if err := s.sendOrder(); err != nil {
		return err
	}
	return statusError(s.status)
}

// awaitReady waits until the step reads its order.
func (s *Step) awaitReady() error {
	switch _, err := io.ReadFull(s.status, make([]byte, 1)); err {
	case io.EOF: // it has ended: the Go runtime exits if it gets no thread or no memory
		return syscall.EAGAIN
	default:
		return err
	}
}

// sendOrder sends the order, unless the step has ended.
func (s *Step) sendOrder() error {
	_, err := s.order.Write(s.command.order())
	if err == nil && s.command.sandbox() != nil {
		err = s.sendDescriptors()
	}
	if isGone(err) {
		return nil
	}
	return err
}

// isGone reports whether an error means that the process at the other end of a pipe or socket has
// closed it. A socket reports ECONNRESET if something that was sent was not read.
func isGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
