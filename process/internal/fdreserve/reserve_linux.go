package fdreserve

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// thread is the reserve thread.
type thread struct {
	tid  int
	work chan func()
	quit chan struct{}
	done chan struct{}
}

// reserve is the only reserve thread of this process, and the number of Acquire calls that use it.
var reserve struct {
	sync.Mutex
	users  int
	thread atomic.Pointer[thread]
}

// Acquire starts the reserve thread, if it does not run, and keeps it until Release is called. It
// fails if a sandbox refuses a separate descriptor table; without a reserve, the calls of this
// package fail with EMFILE or ENFILE.
func Acquire() error {
	reserve.Lock()
	defer reserve.Unlock()
	if reserve.users == 0 {
		t := &thread{work: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
		if err := t.start(); err != nil {
			return err
		}
		reserve.thread.Store(t)
	}
	reserve.users++
	return nil
}

// Release undoes one successful Acquire. The last Release stops the thread and waits for it.
func Release() {
	reserve.Lock()
	defer reserve.Unlock()
	if reserve.users--; reserve.users == 0 {
		t := reserve.thread.Swap(nil)
		close(t.quit)
		<-t.done
	}
}

func (t *thread) start() error {
	if err := initPoller(); err != nil {
		return err
	}
	ready := make(chan error)
	go t.run(ready)
	return <-ready
}

func (t *thread) run(ready chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if unix.Gettid() == os.Getpid() {
		// Not the main thread: /proc/PID/fd shows its table as that of the process.
		started := make(chan error)
		go t.run(started)
		ready <- <-started
		runtime.UnlockOSThread()
		return
	}
	defer close(t.done)
	t.tid = unix.Gettid()
	err := unshareTable()
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-t.work:
			f()
		case <-t.quit:
			return
		}
	}
}

// initPoller makes the Go runtime open the descriptors of its poller, if it has not yet.
func initPoller() error {
	a, b, err := os.Pipe()
	if err == nil {
		_ = a.Close()
		_ = b.Close()
	}
	return err
}

// unshareTable gives the calling thread its own descriptor table and closes everything in it but
// standard error, to which the runtime reports a crash, and the descriptors of the runtime's
// poller, which the runtime may use on any thread.
func unshareTable() error {
	err := unix.CloseRange(1<<30, 1<<30, unix.CLOSE_RANGE_UNSHARE) // allowed by sandboxes that refuse unshare(2)
	if err != nil {
		err = unix.Unshare(unix.CLONE_FILES)
	}
	if err != nil {
		return os.NewSyscallError("unshare", err)
	}
	const dir = "/proc/thread-self/fd"
	names, err := ReadDirNames(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd == unix.Stderr || isPoller(dir+"/"+name) {
			continue
		}
		_ = unix.Close(fd)
	}
	return nil
}

func isPoller(path string) bool {
	target, _ := os.Readlink(path)
	return strings.HasPrefix(target, "anon_inode:") && (strings.Contains(target, "eventpoll") || strings.Contains(target, "eventfd"))
}

// Exhausted reports whether err means that no file descriptor is free, in this process (EMFILE) or
// on this machine (ENFILE).
func Exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// Do runs f, which opens descriptors, uses them and closes them. If f fails for lack of a
// descriptor, Do runs it again on the reserve thread. So f must not use a descriptor that was
// opened elsewhere, nor an os.File, which is registered with the poller.
func Do[T any](f func() (T, error)) (T, error) {
	v, err := f()
	if Exhausted(err) {
		return onThread(f, err)
	}
	return v, err
}

// onThread runs f on the reserve thread. It returns err if there is no reserve, or if the caller
// runs on it already.
func onThread[T any](f func() (T, error), err error) (v T, _ error) {
	t := reserve.thread.Load()
	if t == nil || t.tid == unix.Gettid() {
		return v, err
	}
	ran := make(chan struct{})
	select {
	case t.work <- func() { v, err = f(); close(ran) }:
		<-ran
	case <-t.done:
	}
	return v, err
}
