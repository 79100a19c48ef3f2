package process

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

const (
	// maxWaitingProcesses and maxWaitingThreads are how many of a tree are looked at to find who waits for input.
	maxWaitingProcesses = 256
	maxWaitingThreads   = 1024
	// maxWaitingFiles is how many descriptors are looked at of one that waits for several.
	maxWaitingFiles = 1024
	// inspectWait is how long a look at a tree is waited for, and maxInspections how many are under way at once.
	inspectWait    = 100 * time.Millisecond
	maxInspections = 64
)

// waitKind is how a system call that waits for input names its descriptors.
type waitKind uint8

const (
	waitFile   waitKind = iota + 1 // the first argument is one
	waitPoll                       // an array of struct pollfd, and its length
	waitSelect                     // the highest number and one, and a bit set
	waitEpoll                      // the first argument is an epoll instance
)

// WaitsForInput reports whether a process of the tree is blocked in a system call that waits for its standard input, be it
// a pipe or a terminal. False also means that it can't be known: where the process may not be inspected (ptrace(2)),
// or a bound of what is looked at is reached, inspectWait among them. The leader and its descendants are looked at while it
// lives, then whoever is left of the tree. It takes some 50 µs for each thread and holds no lock meanwhile.
func (p *Process) WaitsForInput() bool {
	i := p.inspect()
	if i == nil {
		return false
	}
	late := time.NewTimer(inspectWait)
	defer late.Stop()
	select {
	case <-i.done:
		return i.waits
	case <-late.C:
		return false
	}
}

// inspection is a look at a tree, which is shared by those who ask meanwhile. The kernel may hold up who reads the memory or the
// descriptors of another process for as long as that process likes, which may have put them behind a file system of its
// own. So it has a goroutine, for which nobody waits longer than inspectWait.
type inspection struct {
	done  chan struct{}
	waits bool // set before done is closed
}

var inspections = make(chan struct{}, maxInspections)

// inspect joins the inspection that is under way, or begins one. It is nil where that would be one too many.
func (p *Process) inspect() *inspection {
	p.looking.Lock()
	defer p.looking.Unlock()
	if p.look != nil {
		return p.look
	}
	select {
	case inspections <- struct{}{}:
	default:
		return nil
	}
	i := &inspection{done: make(chan struct{})}
	p.look = i
	go func() {
		i.waits = p.waitsForInput()
		p.looking.Lock()
		p.look = nil
		p.looking.Unlock()
		<-inspections
		close(i.done)
	}()
	return i
}

func (p *Process) waitsForInput() bool {
	input, ok := p.input()
	if !ok || waitCalls == nil {
		return false
	}
	w := waiting{input: input, threads: maxWaitingThreads}
	queue := []int{p.PID()}
	if p.leader.exited() {
		queue, _ = p.Members()
	}
	for looked := 0; len(queue) > 0 && looked < maxWaitingProcesses && w.threads > 0; looked++ {
		if w.process(queue[0]) {
			return true
		}
		queue = append(queue[1:], w.children...)
	}
	return false
}

// input names what the standard input of the tree is, as /proc/PID/fd names the files of a process.
type input struct {
	link string // of the pipe, or the terminal's slave
	tty  uint64 // the device of the terminal; 0 for a pipe
}

func (p *Process) input() (in input, ok bool) {
	if p.terminal {
		err := p.onMaster(func(fd int) error {
			number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
			in = input{"/dev/pts/" + strconv.Itoa(int(number)), unix.Mkdev(ptsMajor, number)}
			return err
		})
		return in, err == nil
	}
	if p.stdin == nil {
		return in, false
	}
	conn, err := p.stdin.SyscallConn()
	if err != nil {
		return in, false
	}
	var st unix.Stat_t
	failed := conn.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) })
	return input{link: "pipe:[" + strconv.FormatUint(st.Ino, 10) + "]"}, failed == nil && err == nil
}

// ptsMajor is the major number of the slaves of pseudo-terminals (UNIX98_PTY_SLAVE_MAJOR of linux/major.h).
const ptsMajor = 136

// waiting looks for one who waits for input.
type waiting struct {
	input    input
	threads  int   // how many may still be looked at
	children []int // of the process that was looked at last

	dir string // /proc/PID of that
	pid int
	buf [4 << 10]byte
}

// process reports whether a thread of a process waits for the input, and notes its children.
func (w *waiting) process(pid int) bool {
	w.pid, w.dir, w.children = pid, "/proc/"+strconv.Itoa(pid), nil
	tasks, err := os.Open(w.dir + "/task")
	if err != nil {
		return false
	}
	defer tasks.Close()
	names, _ := tasks.Readdirnames(w.threads)
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if w.threads--; err == nil && w.thread(tid) {
			return true
		}
	}
	return false
}

func (w *waiting) thread(tid int) bool {
	dir := w.dir + "/task/" + strconv.Itoa(tid)
	if n, err := fdreserve.ReadOnce(dir+"/children", w.buf[:]); err == nil {
		for _, field := range bytes.Fields(w.buf[:n]) {
			if pid, err := strconv.Atoi(string(field)); err == nil && len(w.children) < maxWaitingProcesses {
				w.children = append(w.children, pid)
			}
		}
	}
	n, err := fdreserve.ReadOnce(dir+"/syscall", w.buf[:])
	if err != nil {
		return false
	}
	call, args, ok := parseSyscall(string(w.buf[:n]))
	if !ok || !w.sleeps(tid) {
		return false
	}
	switch waitCalls[call] {
	case waitFile:
		return w.isInput(args[0])
	case waitPoll:
		return w.polls(args[0], args[1])
	case waitSelect:
		return w.selects(args[0], args[1])
	case waitEpoll:
		return w.epolls(args[0])
	}
	return false
}

// parseSyscall reads "number args… sp pc" (proc_pid_syscall(5)); it is something else of a thread that is in none.
func parseSyscall(line string) (call int64, args [6]uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 1+len(args) {
		return 0, args, false
	}
	call, err := strconv.ParseInt(fields[0], 10, 64)
	for i := range args {
		var e error
		if args[i], e = strconv.ParseUint(fields[1+i], 0, 64); e != nil {
			err = e
		}
	}
	return call, args, err == nil
}

// sleeps is false for a thread that is stopped in its system call.
func (w *waiting) sleeps(tid int) bool {
	st, err := procfs.ReadThreadStat(w.pid, tid)
	return err == nil && st.State == 'S'
}

// isInput reports whether a descriptor of the process is the input.
func (w *waiting) isInput(fd uint64) bool {
	n, err := unix.Readlink(w.dir+"/fd/"+strconv.FormatUint(fd, 10), w.buf[:])
	if err != nil {
		return false
	}
	link := string(w.buf[:n])
	return link == w.input.link || w.input.tty != 0 && link == "/dev/tty" && w.terminal() == w.input.tty
}

// terminal is the controlling terminal of the process.
func (w *waiting) terminal() uint64 {
	st, err := procfs.ReadStat(w.pid)
	if err != nil {
		return 0
	}
	return st.Terminal
}

// pollReadNormal is POLLRDNORM of poll.h.
const pollReadNormal = 0x40

// polls reports whether a struct pollfd asks for input.
func (w *waiting) polls(array, count uint64) bool {
	const size = int(unsafe.Sizeof(unix.PollFd{}))
	memory := w.memory(array, size*int(min(count, maxWaitingFiles)))
	for ; len(memory) >= size; memory = memory[size:] {
		fd := int32(binary.NativeEndian.Uint32(memory))
		events := binary.NativeEndian.Uint16(memory[4:])
		if fd >= 0 && events&(unix.POLLIN|pollReadNormal) != 0 && w.isInput(uint64(fd)) {
			return true
		}
	}
	return false
}

// selects reports whether the input is in a set of descriptors.
func (w *waiting) selects(highest, set uint64) bool {
	const word = 64
	words := (min(highest, maxWaitingFiles) + word - 1) / word
	memory := w.memory(set, int(words)*word/8)
	for fd := range uint64(len(memory)) / (word / 8) * word {
		bits := binary.NativeEndian.Uint64(memory[fd/word*8:])
		if bits>>(fd%word)&1 != 0 && w.isInput(fd) {
			return true
		}
	}
	return false
}

// epollLine is about as long as the line of one descriptor is.
const epollLine = 80

// epolls reports whether an epoll instance is asked for input (proc_pid_fdinfo(5)).
func (w *waiting) epolls(fd uint64) bool {
	info := make([]byte, maxWaitingFiles*epollLine)
	n, err := fdreserve.ReadOnce(w.dir+"/fdinfo/"+strconv.FormatUint(fd, 10), info)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info[:n])) { // "tfd:        0 events:       19 data: …"
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "tfd:" {
			continue
		}
		target, err := strconv.ParseUint(fields[1], 10, 32)
		events, e := strconv.ParseUint(fields[3], 16, 64)
		if err == nil && e == nil && events&unix.EPOLLIN != 0 && w.isInput(target) {
			return true
		}
	}
	return false
}

// memory is a copy of n bytes of the process's memory, or of as many as there are.
func (w *waiting) memory(address uint64, n int) []byte {
	if address == 0 || n == 0 {
		return nil
	}
	to := make([]byte, n)
	local := []unix.Iovec{{Base: &to[0]}}
	local[0].SetLen(n)
	n, err := unix.ProcessVMReadv(w.pid, local, []unix.RemoteIovec{{Base: uintptr(address), Len: n}}, 0)
	if err != nil || n <= 0 {
		return nil
	}
	return to[:n]
}
