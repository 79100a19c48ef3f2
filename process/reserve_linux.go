package process

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

// reserve is a thread with a table of descriptors of its own (unshare(2), CLONE_FILES), which is nearly empty. Code
// that has to open a file to end a tree does so there when this process has no free descriptor: RLIMIT_NOFILE bounds
// the numbers in each table, and the table of the process may be filled by clients. Nothing has to be acquired then, not
// even a thread.
type reserve struct {
	tid  int
	work chan func()
	quit chan struct{}
	done chan struct{}
}

// reserves counts the hosts that use the one reserve of this process.
var reserves struct {
	sync.Mutex
	hosts int
	one   atomic.Pointer[reserve]
}

// openReserve makes sure that there is a reserve until closeReserve is called. Without one, as where a sandbox refuses
// a table of its own, what needs a descriptor fails while there is none.
func openReserve() error {
	reserves.Lock()
	defer reserves.Unlock()
	if reserves.hosts == 0 {
		r := &reserve{work: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
		if err := r.start(); err != nil {
			return err
		}
		reserves.one.Store(r)
	}
	reserves.hosts++
	return nil
}

func closeReserve() {
	reserves.Lock()
	defer reserves.Unlock()
	if reserves.hosts--; reserves.hosts == 0 {
		r := reserves.one.Swap(nil)
		close(r.quit)
		<-r.done
	}
}

func (r *reserve) start() error {
	if err := initPoller(); err != nil {
		return err
	}
	ready := make(chan error)
	go r.run(ready)
	return <-ready
}

func (r *reserve) run(ready chan<- error) {
	runtime.LockOSThread()            // and never unlock: the thread ends with this goroutine
	if unix.Gettid() == os.Getpid() { // but not the first one, whose table others take for that of the process
		started := make(chan error)
		go r.run(started)
		ready <- <-started
		runtime.UnlockOSThread()
		return
	}
	defer close(r.done)
	r.tid = unix.Gettid()
	err := ownTable()
	ready <- err
	if err != nil {
		return
	}
	for {
		select {
		case f := <-r.work:
			f()
		case <-r.quit:
			return
		}
	}
}

// initPoller makes the runtime open the descriptors of its poller, if it did not yet.
func initPoller() error {
	a, b, err := os.Pipe()
	if err == nil {
		_ = a.Close()
		_ = b.Close()
	}
	return err
}

// ownTable gives the calling thread a table of its own, with standard error, for a crash to be told, and what the runtime
// uses on every thread: its poller, which it wakes up when it takes the processor from one that waits.
func ownTable() error {
	err := unix.CloseRange(1<<30, 1<<30, unix.CLOSE_RANGE_UNSHARE) // which sandboxes allow that refuse unshare(2)
	if err != nil {
		err = unix.Unshare(unix.CLONE_FILES)
	}
	if err != nil {
		return os.NewSyscallError("unshare", err)
	}
	const dir = "/proc/thread-self/fd"
	names, err := listNames(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd == unix.Stderr || ofPoller(dir+"/"+name) {
			continue
		}
		_ = unix.Close(fd)
	}
	return nil
}

func ofPoller(path string) bool {
	target, _ := os.Readlink(path)
	return strings.HasPrefix(target, "anon_inode:") && (strings.Contains(target, "eventpoll") || strings.Contains(target, "eventfd"))
}

// exhausted says that there is no descriptor left, in this process or on this machine.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// transient runs f, which opens descriptors, uses them and closes them. Where there are none it runs it again on the
// reserve: so f must not use a descriptor that is held, and no os.File, which goes to the poller.
func transient[T any](f func() (T, error)) (T, error) {
	v, err := f()
	if exhausted(err) {
		return onReserve(f, err)
	}
	return v, err
}

// onReserve runs f on the reserve. It returns err if there is none, or the caller runs on it already.
func onReserve[T any](f func() (T, error), err error) (v T, _ error) {
	r := reserves.one.Load()
	if r == nil || r.tid == unix.Gettid() {
		return v, err
	}
	ran := make(chan struct{})
	select {
	case r.work <- func() { v, err = f(); close(ran) }:
		<-ran
	case <-r.done:
	}
	return v, err
}
