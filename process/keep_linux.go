package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// keeperPatience is how long a keeper tries to end what its server left. What is left then is for the next server.
	keeperPatience = 10 * time.Second
	// dyingWait is the time between the end of the input and the death of the server, if it is that which ended it.
	dyingWait = time.Second
	// keeperInput is the descriptor over which a keeper is told.
	keeperInput = 3
	// maxCharge bounds the first line of that.
	maxCharge = 64 << 10
)

// charge is what a keeper needs to know of its server, beside the groups that it has at any time.
type charge struct {
	word
	Number uint64 `json:"number"`
	File   string `json:"file"` // the state file, "" for none
	// What the server did to its own control group to make room for controllers.
	Own         string   `json:"own,omitempty"`
	Controllers []string `json:"controllers,omitempty"`
	Enabled     []string `json:"enabled,omitempty"`
	Moved       bool     `json:"moved,omitempty"`
}

// keeperAttr gives a keeper a session of its own, so that signals to the server's group or terminal miss it. One thread
// that runs Go code is enough for it and saves memory.
func keeperAttr(null, read int) *syscall.ProcAttr {
	return &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Files: []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(read)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
}

// keep is the main function of a keeper. It waits for the death of its server, ends all that this has left, and exits.
// A server that closes its Host ends the keeper by SIGKILL instead.
func keep() {
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	_ = unix.CloseRange(keeperInput+1, ^uint(0)>>33, 0)
	_ = writeFile("/proc/self/comm", "keeper") // so that pkill(1) of the server's name leaves it alone
	debug.SetGCPercent(-1)                     // it allocates next to nothing before there is work
	var in keeperReader
	c, groups, err := in.untilDeath()
	if err != nil {
		syscall.Exit(1)
	}
	debug.SetGCPercent(100)
	if !c.finish(groups, time.Now().Add(keeperPatience)) {
		syscall.Exit(1)
	}
	syscall.Exit(0)
}

// keeperReader reads what a server tells its keeper.
type keeperReader struct {
	chunk  [4096]byte
	head   []byte // the first line
	began  bool   // the first line is complete
	line   []byte
	groups []keptGroup
}

var (
	errNoCharge = errors.New("process: the keeper was told nothing")
	errDropped  = errors.New("process: the server lives and has no use for this keeper")
)

// untilDeath returns when the server is dead. The end of the input says so, and then its pidfd too; without that it is an
// error. A child of the server that has not executed its program yet has a copy of the write end: then there is the pidfd
// alone.
func (r *keeperReader) untilDeath() (*charge, []keptGroup, error) {
	end, err := r.drain() // the charge was written before the fork
	if err != nil {
		return nil, nil, err
	}
	var c charge
	if err := json.Unmarshal(r.head, &c); err != nil {
		return nil, nil, err
	}
	if !r.began || c.Number == 0 || c.Number >= maxInstance || c.PID <= 0 {
		return nil, nil, errNoCharge
	}
	pidfd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		pidfd = -1
	}
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: keeperInput, Events: unix.POLLIN}}
	closed := time.Now()
	if end {
		fds[1].Fd = -1
	}
	for dead := os.Getppid() != c.PID; !dead; {
		wait := -1
		if fds[1].Fd < 0 {
			wait = 1 // ms; there may be no pidfd
		}
		if _, err := unix.Poll(fds, wait); err != nil && err != unix.EINTR {
			return nil, nil, err
		}
		dead = fds[0].Revents != 0 || os.Getppid() != c.PID
		if fds[1].Fd >= 0 { // also after the death: what was told before counts
			end, err := r.drain()
			if err != nil {
				return nil, nil, err
			}
			if end {
				fds[1].Fd, closed = -1, time.Now()
			}
		} else if !dead && time.Since(closed) > dyingWait {
			return nil, nil, errDropped
		}
	}
	_, err = r.drain()
	return &c, r.groups, err
}

// drain reads what is there. It is true at the end of the input.
func (r *keeperReader) drain() (end bool, err error) {
	for {
		n, err := unix.Read(keeperInput, r.chunk[:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false, nil
		case err != nil:
			return false, err
		case n == 0:
			return true, nil
		default:
			if err := r.take(r.chunk[:n]); err != nil {
				return false, err
			}
		}
	}
}

func (r *keeperReader) take(text []byte) error {
	for len(text) > 0 {
		part, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		if !r.began {
			if r.head, r.began = append(r.head, part...), whole; len(r.head) > maxCharge {
				return errNoCharge
			}
			continue
		}
		if r.line = append(r.line, part...); len(r.line) > 64 {
			return errNoCharge
		}
		if whole {
			r.note(r.line)
			r.line = r.line[:0]
		}
	}
	return nil
}

// note takes a line: "g PID STARTED" or "s PID STARTED" for a group or a session more, "- PID" for one less. It makes no
// garbage.
func (r *keeperReader) note(line []byte) {
	kind, rest, _ := bytes.Cut(line, []byte(" "))
	number, rest, _ := bytes.Cut(rest, []byte(" "))
	g := keptGroup{pid: int(digits(number)), started: digits(rest), session: kind[0] == 's'}
	for i, old := range r.groups {
		if old.pid == g.pid {
			last := len(r.groups) - 1
			r.groups[i] = r.groups[last]
			r.groups = r.groups[:last]
			break
		}
	}
	if kind[0] != '-' && g.pid > 1 {
		r.groups = append(r.groups, g)
	}
}

func digits(text []byte) (n uint64) {
	for _, c := range text {
		n = 10*n + uint64(c-'0')
	}
	return n
}

// finish ends all that the server left, and removes its control groups and its state file. It is false where that could
// not be done until end. A next server may be doing the same: the state file's lock decides who does it.
func (c *charge) finish(groups []keptGroup, end time.Time) bool {
	c.strike(groups)
	for ; time.Now().Before(end); time.Sleep(firstLook) {
		unlock, ok := c.lock()
		if !ok {
			continue
		}
		c.leave()
		_, left := endTrees(&c.word, c.Number, groups)
		if left == 0 && c.File != "" {
			_ = os.Remove(c.File)
		}
		unlock()
		if left == 0 {
			return true
		}
	}
	return false
}

// strike kills at once whoever is found. It needs no lock, since what it kills is to be ended by whoever has that.
func (c *charge) strike(groups []keptGroup) {
	all, killable := remainsOf(&c.word, c.Number, groups)
	for _, dir := range killable {
		if !c.Moved {
			_ = writeFile(filepath.Join(dir, "cgroup.kill"), "1")
			continue
		}
		leaves, _ := os.ReadDir(dir)
		for _, leaf := range leaves {
			if leaf.IsDir() && leaf.Name() != serverLeaf { // this process is in that one itself
				_ = writeFile(filepath.Join(dir, leaf.Name(), "cgroup.kill"), "1")
			}
		}
	}
	_ = all.each(func(m member) { _ = all.send(m, syscall.SIGKILL) })
}

// leave takes this process out of the server's control groups, if the server has moved into them, so that it does not
// kill itself there, and undoes what was done for controllers.
func (c *charge) leave() {
	if c.Own == "" {
		return
	}
	t := &subtree{own: c.Own, dir: filepath.Join(c.Own, nameOf(c.Number)), controllers: c.Controllers, enabled: c.Enabled, moved: c.Moved}
	t.undelegate()
}

// lock takes the lock of the state file as one that is shared: so a next server can tell a keeper that is at work from a
// server that lives. Where there is no file any more another process has done the work, or nobody can: then nobody is
// disturbed by its being done once more.
func (c *charge) lock() (unlock func(), ok bool) {
	f, err := openState(c.File)
	if err != nil {
		return func() {}, true
	}
	if flock(f, unix.LOCK_SH) != nil {
		_ = f.Close()
		return nil, false
	}
	return func() { _ = f.Close() }, true
}

// has says whether a process is in the group. Its number is not believed if it is another leader's by now.
func (g keptGroup) has(st *stat) bool {
	if g.session {
		return st.session == g.pid
	}
	return st.pgrp == g.pid
}

// ours says whether the number still means that group: one that is used by somebody else can only be so after the last of
// the group was gone.
func (g keptGroup) ours() bool {
	st, err := readStat(strconv.Itoa(g.pid), make([]byte, statBytes))
	return err == nil && (st.started == 0 || st.started == g.started)
}

// inOneOf says whether a process is in one of some groups.
func inOneOf(groups []keptGroup, st *stat) bool {
	return slices.ContainsFunc(groups, func(g keptGroup) bool { return g.has(st) })
}
