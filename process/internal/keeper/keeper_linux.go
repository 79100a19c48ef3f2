// Package keeper starts a process that outlives the server and then ends what the server has left.
//
// It is the program of the server, executed once more with another argv[0] (package serverwatch).
// It is a process and not a thread, since it must outlive the server.
package keeper

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

	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/poller"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

const (
	// minRestartDelay is the time from the end of a keeper to the start of the next one. It doubles
	// up to maxRestartDelay while keepers end sooner than that.
	minRestartDelay = 10 * time.Millisecond
	maxRestartDelay = 10 * time.Second
	// maxPipe is the largest capacity of the pipe to a keeper, which is what an unprivileged
	// process may request (pipe(7)).
	maxPipe = 1 << 20
)

// Keeper starts keepers, one after the other. A keeper reads from a pipe of which this process has
// the write end, and each of its children until the exec. The zero value starts none. Methods may
// be called from any goroutine.
type Keeper struct {
	config *Config
	table  *mark.Table
	poller *poller.Poller
	report func(error) // why a keeper has ended or did not start; may be nil
	ready  chan struct{}
	quit   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	enabled bool // Start was called
	groups  map[int]serverwatch.Group
	pipe    int            // write end, -1 for none
	process *leader.Leader // the keeper that runs, nil for none
	ending  bool
}

// Start starts the first keeper in the background. table is where its process id is entered, so
// that it is not taken for an orphan. report receives why a keeper has ended or did not start,
// before the next one is started. It may be nil. p waits for the exits.
func (k *Keeper) Start(c *Config, table *mark.Table, p *poller.Poller, report func(error)) {
	k.config, k.table, k.poller, k.report = c, table, p, report
	k.groups, k.pipe = make(map[int]serverwatch.Group), -1
	k.ready, k.quit, k.done = make(chan struct{}), make(chan struct{}), make(chan struct{})
	k.enabled = true
	go k.run()
}

// AwaitFirst blocks until the first keeper is executed or could not be started.
func (k *Keeper) AwaitFirst() {
	if k.enabled {
		<-k.ready
	}
}

// Add sends the keeper the process group of a leader that has just started or, if session is true,
// its kernel session.
func (k *Keeper) Add(pid int, session bool) {
	if !k.enabled {
		return
	}
	g := serverwatch.Group{PID: pid, Started: proctable.StartTime(pid), Session: session}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.groups[pid] = g
	k.write(line(g))
}

// Remove reports to the keeper that a group has no processes left, or none that can be ended.
func (k *Keeper) Remove(pid int) {
	if !k.enabled {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.groups, pid)
	k.write("- " + strconv.Itoa(pid) + "\n")
}

func line(g serverwatch.Group) string {
	kind := "g"
	if g.Session {
		kind = "s"
	}
	return fmt.Sprintf("%s %d %d\n", kind, g.PID, g.Started)
}

// write writes to the pipe without blocking. A keeper that does not read is killed; the next one
// receives all groups. k.mu is held.
func (k *Keeper) write(line string) {
	if k.pipe >= 0 && writeAll(k.pipe, line) != nil {
		k.kill()
	}
}

// kill kills the keeper that runs. k.mu is held.
func (k *Keeper) kill() {
	defer k.closePipe()
	if k.process != nil {
		_ = k.process.Do(func(_ int, reaped bool) error {
			if !reaped {
				_ = unix.Kill(k.process.PID, unix.SIGKILL)
			}
			return nil
		})
	}
}

func (k *Keeper) closePipe() {
	if k.pipe >= 0 {
		_ = unix.Close(k.pipe)
	}
	k.pipe = -1
}

// Stop kills the keeper and starts no other one. It does not wait for its end. All trees are
// closed, so the keeper has nothing to do.
func (k *Keeper) Stop() {
	if !k.enabled {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ending = true
	close(k.quit)
	if k.process != nil {
		k.kill()
	}
}

// Wait blocks until the keeper is reaped. It is called after Stop.
func (k *Keeper) Wait() {
	if k.enabled {
		<-k.done
	}
}

// run starts keepers one after the other.
func (k *Keeper) run() {
	defer close(k.done)
	first := sync.OnceFunc(func() { close(k.ready) })
	for delay := minRestartDelay; ; delay = min(2*delay, maxRestartDelay) {
		began := time.Now()
		err := k.start()
		first()
		if err == nil {
			err = k.awaitExit()
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
		if time.Since(began) > maxRestartDelay {
			delay = minRestartDelay
		}
		select {
		case <-time.After(delay):
		case <-k.quit:
		}
	}
}

// start starts a keeper, unless Stop was called.
func (k *Keeper) start() error {
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
	pid, pidfd, err := k.fork(null, read)
	if err != nil {
		return err
	}
	l := leader.New(pid, pidfd, k.poller)
	l.Observer = k.table
	k.mu.Lock()
	defer k.mu.Unlock()
	k.process = l
	if k.ending || k.pipe < 0 {
		k.kill()
	}
	return nil
}

// openPipe makes the pipe and writes the config and the present groups to it.
func (k *Keeper) openPipe() (read int, err error) {
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
			text = append(text, line(g)...)
		}
		if len(text) > maxPipe/32 { // half of the default capacity
			_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, maxPipe)
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

// fork executes this program once more, without its environment and its descriptors.
func (k *Keeper) fork(null, read int) (pid, pidfd int, err error) {
	attr := keeperAttr(null, read)
	leader.RequestPidfd(attr.Sys, &pidfd)
	argv := []string{serverwatch.Name, identity.Name(k.config.Number)}
	pid, err = k.table.ForkUnmarked(func() (int, error) { return syscall.ForkExec("/proc/self/exe", argv, attr) })
	return pid, pidfd, err
}

// keeperAttr gives a keeper a session of its own, so that it does not get the signals to the
// server's group or terminal. One thread that runs Go code is sufficient and saves memory.
func keeperAttr(null, read int) *syscall.ProcAttr {
	return &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Files: []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(read)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
}

// awaitExit waits for the exit of the keeper, reaps it, and returns why it ended.
func (k *Keeper) awaitExit() error {
	k.mu.Lock()
	l := k.process
	k.mu.Unlock()
	err := l.Wait()
	exit, reapErr := l.Reap()
	k.mu.Lock()
	k.process = nil
	k.mu.Unlock()
	l.CloseHandle()
	if err := errors.Join(err, reapErr); err != nil {
		return err
	}
	if exit.Signal != 0 {
		return fmt.Errorf("the keeper was ended by %v", exit.Signal)
	}
	return fmt.Errorf("the keeper exited with status %d", exit.Code)
}

// writeAll fails if the pipe is full or has no reader.
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
