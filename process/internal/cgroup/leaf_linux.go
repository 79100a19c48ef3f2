package cgroup

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// leaf is a cgroup of version 2 for one tree at a time. One goroutine at a time uses it, except for
// populated.
type leaf struct {
	subtree *subtree
	number  int  // its name
	dir     int  // O_PATH, for clone3(2); -1, as the next two, if it is closed
	events  int  // cgroup.events
	cpu     int  // cpu.stat
	kept    bool // whether subtree.open counts it
	frozen  bool
	killed  bool    // it was killed, or may have been: see reusable
	used    cpuTime // what earlier trees have used
}

const (
	eventsFile = "cgroup.events"
	cpuFile    = "cpu.stat"
	killFile   = "cgroup.kill"
	freezeFile = "cgroup.freeze"
)

type cpuTime struct{ user, system time.Duration }

func newLeaf(s *subtree, number int) (l *leaf, err error) {
	l = &leaf{subtree: s, number: number, dir: -1, events: -1, cpu: -1}
	if err = os.Mkdir(l.path(), 0o755); err != nil {
		return nil, err
	}
	if err = l.open(); err != nil {
		_ = os.Remove(l.path())
		return nil, err
	}
	return l, nil
}

// open opens the descriptors that are closed.
func (l *leaf) open() (err error) {
	path := l.path()
	if l.dir < 0 {
		l.dir, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil && l.events < 0 {
		l.events, err = unix.Openat(l.dir, eventsFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err == nil && l.cpu < 0 {
		l.cpu, err = unix.Openat(l.dir, cpuFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		l.close()
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

func (l *leaf) path() string { return l.subtree.leaves() + "/" + strconv.Itoa(l.number) }

// shown is the path in /proc/PID/cgroup.
func (l *leaf) shown() string {
	return l.subtree.shown + l.subtree.below + "/" + strconv.Itoa(l.number)
}

// close closes the descriptors. Only a fork into the leaf needs them; everything else takes some
// microseconds more.
func (l *leaf) close() {
	for _, fd := range []*int{&l.dir, &l.events, &l.cpu} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// read reads the beginning of a file, from fd if that is open.
func (l *leaf) read(fd int, name string, buf []byte) (int, error) {
	if fd >= 0 {
		return unix.Pread(fd, buf, 0)
	}
	return fdreserve.ReadOnce(l.path()+"/"+name, buf)
}

// populated reports whether there is a living process in the leaf or below it. Zombies do not
// count.
func (l *leaf) populated() (bool, error) {
	n, err := l.event("populated")
	return n != 0, err
}

func (l *leaf) event(name string) (uint64, error) {
	var buf [128]byte
	n, err := l.read(l.events, eventsFile, buf[:])
	if err != nil {
		return 0, os.NewSyscallError("read cgroup.events", err)
	}
	return valueOf(buf[:n], name), nil
}

func (l *leaf) write(name, text string) error { return fdreserve.WriteFile(l.path()+"/"+name, text) }

// kill sends SIGKILL to all processes in the leaf and below it, including those that are being
// forked or are frozen.
func (l *leaf) kill() error {
	l.killed = true
	return l.write(killFile, "1")
}

// freeze stops all processes, and waits for at most wait until they have stopped. A process in an
// uninterruptible system call stops after that call.
func (l *leaf) freeze(wait time.Duration) error {
	if err := l.write(freezeFile, "1"); err != nil {
		return err
	}
	l.frozen = true
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		frozen, err := l.event("frozen")
		if err != nil {
			_ = l.thaw()
			return err
		}
		if frozen == 1 {
			return nil
		}
	}
	return nil
}

func (l *leaf) thaw() error {
	if !l.frozen {
		return nil
	}
	err := l.write(freezeFile, "0")
	l.frozen = err != nil
	return err
}

// contains reports whether a process is in the leaf or below it.
func (l *leaf) contains(pid int) (bool, error) {
	groups, err := procfs.ReadCgroups(pid)
	if fdreserve.Exhausted(err) {
		return false, err
	}
	if err != nil { // it has been reaped
		return false, nil
	}
	rest, ok := strings.CutPrefix(groups.V2, l.shown())
	return ok && (rest == "" || rest[0] == '/'), nil
}

// spent returns the processor time that was used in the leaf since the last call.
func (l *leaf) spent() (cpuTime, bool) {
	var buf [512]byte
	n, err := l.read(l.cpu, cpuFile, buf[:])
	if err != nil {
		return cpuTime{}, false
	}
	now := cpuTime{
		time.Duration(valueOf(buf[:n], "user_usec")) * time.Microsecond,
		time.Duration(valueOf(buf[:n], "system_usec")) * time.Microsecond,
	}
	spent := cpuTime{now.user - l.used.user, now.system - l.used.system}
	l.used = now
	return spent, true
}

// peakMemory returns the peak memory of the leaf in bytes, or 0 if it is not counted. It is that of
// one tree, since a leaf in which memory is counted is not reused.
func (l *leaf) peakMemory() int64 { return readNumber(l.path(), "memory.peak") }

// removed reports whether a command with the rights of the server has removed the leaf.
func (l *leaf) removed() bool {
	var st unix.Stat_t
	return unix.Stat(l.path(), &st) == unix.ENOENT
}

// reusable reports whether the leaf is as a new one: no processes, no children, not frozen, and
// never killed. Linux 6.18 kills a process that is cloned into a cgroup that was killed before,
// since it compares the kill count of the process' parent cgroup with that of the new one.
func (l *leaf) reusable() bool {
	if l.killed || l.thaw() != nil {
		return false
	}
	var buf [128]byte
	n, err := l.read(l.events, eventsFile, buf[:])
	if err != nil || valueOf(buf[:n], "populated") != 0 || valueOf(buf[:n], "frozen") != 0 {
		return false
	}
	var st unix.Stat_t
	if l.dir >= 0 {
		err = unix.Fstat(l.dir, &st)
	} else {
		err = unix.Stat(l.path(), &st)
	}
	return err == nil && st.Nlink == 2
}
