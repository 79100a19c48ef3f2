package spawn

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
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
	unix.CloseOnExec(orderFD)
	unix.CloseOnExec(statusFD)
	debug.SetGCPercent(-1)
	runtime.LockOSThread() // the nice value and the user belong to a thread
	_, _ = unix.Write(statusFD, []byte{1})
	// From here on the runtime must not start a thread, since the limit of processes may be 1. So
	// the system calls, for which the thread waits, bypass the runtime.
	var o order
	if !o.read(orderFD) {
		os.Exit(1)
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

func failStep(statusFD int, op Op, errno syscall.Errno) {
	b := binary.NativeEndian.AppendUint32(nil, uint32(op))
	_, _ = unix.Write(statusFD, binary.NativeEndian.AppendUint32(b, uint32(errno)))
	os.Exit(1)
}

// Step is an exec step, as its parent sees it.
type Step struct {
	command *Command
	order   *os.File
	status  *os.File
}

// StartStep starts the exec step for a program. It does not wait for the step. The caller passes
// the setup of the program to Continue.
func StartStep(c *Command) (pid int, s *Step, err error) {
	orderRead, orderWrite, err := os.Pipe()
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
		step.Files = append(step.Files, uintptr(c.Opened.Dir), uintptr(c.Opened.Program))
		step.Env = []string{}
	}
	pid, err = syscall.ForkExec("/proc/self/exe", append([]string{stepName, strconv.Itoa(len(c.Attr.Files)), c.Attr.Dir, c.Path}, c.Argv...), &step)
	_, _ = orderRead.Close(), statusWrite.Close()
	if err != nil {
		s.close()
		return -1, nil, err
	}
	return pid, s, nil
}

func (s *Step) close() { _, _ = s.order.Close(), s.status.Close() }

// Continue applies the setup of the command to the step, and returns when the step has executed the
// program or has ended. The end of ctx kills it. After an error it has not executed an instruction
// of the program, and the caller kills and reaps it. An *Error is what failed in the step. The
// caller does not reap the step meanwhile.
func (s *Step) Continue(ctx context.Context, pid int) error {
	defer s.close()
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		_ = unix.Kill(pid, unix.SIGKILL) // the pid is not reused, since the step is not reaped
	})
	err := s.proceed(pid)
	if !stop() {
		<-killed
	}
	return err
}

func (s *Step) proceed(pid int) error {
	switch _, err := io.ReadFull(s.status, make([]byte, 1)); err {
	case nil:
	case io.EOF: // it has ended: the Go runtime exits if it gets no thread or no memory
		return syscall.EAGAIN
	default:
		return err
	}
	if setup := s.command.Setup; setup != nil {
		if err := setup.apply(pid); err != nil {
			return err
		}
	}
	if _, err := s.order.Write(s.command.order()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	var status [8]byte
	switch _, err := io.ReadFull(s.status, status[:]); err {
	case io.EOF: // closed by the exec, or the step was killed, and its exit status is taken like that of any other
		return nil
	case nil:
		return &Error{Op(binary.NativeEndian.Uint32(status[:])), syscall.Errno(binary.NativeEndian.Uint32(status[4:]))}
	default:
		return err
	}
}
