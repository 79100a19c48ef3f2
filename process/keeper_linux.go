package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

const (
	// keeperPause is the time from the end of a keeper to the start of the next; it doubles up to maxKeeperPause while
	// keepers end sooner than that.
	keeperPause    = 10 * time.Millisecond
	maxKeeperPause = 10 * time.Second
	// maxKeeperPipe bounds what a keeper is told of groups and has not read yet. It is what an unprivileged process
	// may have in a pipe.
	maxKeeperPipe = 1 << 20
)

// keeper is a process that outlives this one and then ends all its trees: see keep. It is started again when it ends.
// It reads from a pipe of which only this process has the write end.
type keeper struct {
	config *keeperConfig
	table  *childTable // nil, or is told that the keeper is no orphan
	report func(error) // why a keeper ended or did not start; may be nil
	ready  chan struct{}
	quit   chan struct{}
	done   chan struct{}

	mu     sync.Mutex
	groups map[int]trackedGroup
	pipe   int     // -1 for none
	leader *leader // that runs, nil for none
	ending bool
}

// trackedGroup is a process group, or with session the kernel session of a terminal, that is named by its number alone.
type trackedGroup struct {
	pid     int    // of its leader
	started uint64 // with pid it names the leader for good
	session bool
}

func (g trackedGroup) line() string {
	kind := "g"
	if g.session {
		kind = "s"
	}
	return fmt.Sprintf("%s %d %d\n", kind, g.pid, g.started)
}

// newKeeper starts one in the background: see await.
func newKeeper(c *keeperConfig, b *childTable, report func(error)) *keeper {
	k := &keeper{
		config: c, table: b, report: report, groups: make(map[int]trackedGroup), pipe: -1,
		ready: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go k.run()
	return k
}

// await returns when the first keeper executes, or could not be started.
func (k *keeper) await() {
	if k != nil {
		<-k.ready
	}
}

// add tells the keeper of the group of a leader that was just started.
func (k *keeper) add(pid int, session bool) {
	if k == nil {
		return
	}
	g := trackedGroup{pid, proctable.StartTime(pid), session}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.groups[pid] = g
	k.tell(g.line())
}

// remove tells it that no process of the group is left, or none that can be ended.
func (k *keeper) remove(pid int) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.groups, pid)
	k.tell("- " + strconv.Itoa(pid) + "\n")
}

// tell writes to the pipe without blocking. A keeper that no longer reads is killed, and the next one is told everything. k.mu
// is held.
func (k *keeper) tell(line string) {
	if k.pipe >= 0 && writeAll(k.pipe, line) != nil {
		k.drop()
	}
}

// drop ends the keeper that runs. k.mu is held.
func (k *keeper) drop() {
	defer k.closePipe()
	if k.leader != nil {
		_ = k.leader.hold(func(_ int, reaped bool) error {
			if !reaped {
				_ = unix.Kill(k.leader.pid, unix.SIGKILL)
			}
			return nil
		})
	}
}

func (k *keeper) closePipe() {
	if k.pipe >= 0 {
		_ = unix.Close(k.pipe)
	}
	k.pipe = -1
}

// end kills the keeper, and lets no other one start. It does not wait: wait does. All trees have ended, so the keeper has no
// work.
func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ending = true
	close(k.quit)
	if k.leader != nil {
		k.drop()
	}
}

func (k *keeper) wait() { <-k.done }

// run starts keepers one after the other.
func (k *keeper) run() {
	defer close(k.done)
	first := sync.OnceFunc(func() { close(k.ready) })
	for pause := keeperPause; ; pause = min(2*pause, maxKeeperPause) {
		began := time.Now()
		err := k.start()
		first()
		if err == nil {
			err = k.watch()
		}
		k.mu.Lock()
		k.closePipe()
		ending := k.ending
		k.mu.Unlock()
		if ending {
			return
		}
		if k.report != nil {
			k.report(err)
		}
		if time.Since(began) > maxKeeperPause {
			pause = keeperPause
		}
		select {
		case <-time.After(pause):
		case <-k.quit:
		}
	}
}

// start starts a keeper, unless end was called.
func (k *keeper) start() error {
	read, err := k.openPipe()
	if err != nil {
		return err
	}
	defer unix.Close(read)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	defer unix.Close(null)
	pid, pidfd, err := forkKeeper(nameOf(k.config.Number), k.table, null, read)
	if err != nil {
		return err
	}
	l := newLeader(pid, pidfd)
	l.table = k.table
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leader = l
	if k.ending || k.pipe < 0 {
		k.drop()
	}
	return nil
}

// openPipe makes the pipe and writes to it what the keeper has to know at first.
func (k *keeper) openPipe() (read int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	text, err := json.Marshal(k.config)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ending {
		err = os.ErrClosed
	}
	if err == nil {
		text = append([]byte(strconv.Itoa(k.config.PID)+" "), append(text, '\n')...)
		for _, g := range k.groups {
			text = append(text, g.line()...)
		}
		if len(text) > maxKeeperPipe/32 { // else the default will do, which is twice as much
			_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, maxKeeperPipe)
		}
		err = writeAll(fds[1], string(text))
	}
	if err != nil {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
		return -1, fmt.Errorf("write to the keeper: %w", err)
	}
	k.pipe = fds[1]
	return fds[0], nil
}

// forkKeeper executes this program once more, with nothing but what the keeper needs.
func forkKeeper(name string, b *childTable, null, read int) (pid, pidfd int, err error) {
	attr := keeperAttr(null, read)
	withHandle(attr.Sys, &pidfd)
	exec := func() (int, error) { return syscall.ForkExec("/proc/self/exe", []string{serverwatch.Name, name}, attr) }
	if b != nil {
		pid, err = b.forkUnmarked(exec)
	} else {
		pid, err = exec()
	}
	return pid, pidfd, err
}

// watch waits for the end of the keeper that was started, reaps it, and says why it ended.
func (k *keeper) watch() error {
	k.mu.Lock()
	l := k.leader
	k.mu.Unlock()
	err := l.wait()
	exit, reapErr := l.reap()
	k.mu.Lock()
	k.leader = nil
	k.mu.Unlock()
	l.close()
	if err := errors.Join(err, reapErr); err != nil {
		return err
	}
	if exit.Signal != 0 {
		return fmt.Errorf("the keeper was ended by %v", exit.Signal)
	}
	return fmt.Errorf("the keeper exited with status %d", exit.Code)
}

// writeAll fails where a pipe is full or nobody reads.
func writeAll(fd int, text string) error {
	for len(text) > 0 {
		n, err := unix.Write(fd, []byte(text))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		text = text[n:]
	}
	return nil
}
