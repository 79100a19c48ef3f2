package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// leaf is a control group of version 2 for one tree at a time. It is used by one goroutine at a time, but for
// populated.
type leaf struct {
	tree   *subtree
	number int  // its name in that
	dir    int  // O_PATH, to clone into; -1, like the next two, where it is closed
	events int  // cgroup.events
	cpu    int  // cpu.stat
	kept   bool // it counts as one that is open: see subtree.keepOpen
	frozen bool
	killed bool    // it was, or may have been: see clean
	used   cpuTime // by those that were in it before
}

const eventsFile, cpuFile = "cgroup.events", "cpu.stat"

type cpuTime struct{ user, system time.Duration }

func newLeaf(t *subtree, number int) (l *leaf, err error) {
	l = &leaf{tree: t, number: number, dir: -1, events: -1, cpu: -1}
	if err = os.Mkdir(l.path(), 0o755); err != nil {
		return nil, err
	}
	if err = l.open(); err != nil {
		_ = os.Remove(l.path())
		return nil, err
	}
	return l, nil
}

// open opens what close closes, unless it is open.
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

func (l *leaf) path() string { return l.tree.leaves() + "/" + strconv.Itoa(l.number) }

// shown is what /proc/PID/cgroup calls it.
func (l *leaf) shown() string { return l.tree.shown + l.tree.below + "/" + strconv.Itoa(l.number) }

// close closes the descriptors. All but the birth of a child works without them, for some microseconds more.
func (l *leaf) close() {
	for _, fd := range []*int{&l.dir, &l.events, &l.cpu} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}

// read reads the beginning of one of its files, from the descriptor if that is open.
func (l *leaf) read(fd int, name string, buf []byte) (int, error) {
	if fd >= 0 {
		return unix.Pread(fd, buf, 0)
	}
	return fdreserve.ReadOnce(l.path()+"/"+name, buf)
}

// populated says whether anybody lives in the leaf or below it. Zombies do not.
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
	return field(buf[:n], name), nil
}

// field is the number behind name in lines of "name number", 0 where there is none.
func field(text []byte, name string) uint64 {
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(" "))
		if string(key) == name {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
			return n
		}
	}
	return 0
}

func (l *leaf) write(name, text string) error { return fdreserve.WriteFile(l.path()+"/"+name, text) }

// kill sends SIGKILL to everybody in the leaf and below it, also who is being forked, also who is frozen.
func (l *leaf) kill() error {
	l.killed = true
	return l.write("cgroup.kill", "1")
}

// freeze stops everybody, and waits for at most wait until they stand still: what is in a system call that can't be
// interrupted stops behind that.
func (l *leaf) freeze(wait time.Duration) error {
	if err := l.write("cgroup.freeze", "1"); err != nil {
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
	err := l.write("cgroup.freeze", "0")
	l.frozen = err != nil
	return err
}

// holds says whether a process is in the leaf or below it.
func (l *leaf) holds(pid int) (bool, error) {
	cgroups, err := procfs.ReadCgroups(pid)
	if fdreserve.Exhausted(err) {
		return false, err
	}
	if err != nil { // it is gone
		return false, nil
	}
	rest, ok := strings.CutPrefix(cgroups.V2, l.shown())
	return ok && (rest == "" || rest[0] == '/'), nil
}

// spent is the time that everybody used who was in the leaf since it was taken, and where the next one begins.
func (l *leaf) spent() (cpuTime, bool) {
	var buf [512]byte
	n, err := l.read(l.cpu, cpuFile, buf[:])
	if err != nil {
		return cpuTime{}, false
	}
	now := cpuTime{
		time.Duration(field(buf[:n], "user_usec")) * time.Microsecond,
		time.Duration(field(buf[:n], "system_usec")) * time.Microsecond,
	}
	spent := cpuTime{now.user - l.used.user, now.system - l.used.system}
	l.used = now
	return spent, true
}

// peak is the most memory that the tree had, 0 where that is not counted. Only a leaf that is not used again counts.
func (l *leaf) peak() int64 { return number(l.path(), "memory.peak") }

// removed says whether a command with the rights of the server has removed it.
func (l *leaf) removed() bool {
	var st unix.Stat_t
	return unix.Stat(l.path(), &st) == unix.ENOENT
}

// clean says whether the leaf is as good as new: nobody in it, nothing below it, not frozen, and never killed. Linux 6.18 was
// seen to kill at birth whoever is cloned into a group that was killed some time before: it compares the count of
// kills with that of the parent's group.
func (l *leaf) clean() bool {
	if l.killed || l.thaw() != nil {
		return false
	}
	var buf [128]byte
	n, err := l.read(l.events, eventsFile, buf[:])
	if err != nil || field(buf[:n], "populated") != 0 || field(buf[:n], "frozen") != 0 { // nobody can be born into a frozen one
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
