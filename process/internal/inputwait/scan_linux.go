package inputwait

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// The bounds of a scan.
const (
	maxProcesses = 256
	maxThreads   = 1024
	maxFiles     = 1024 // descriptors of one system call
)

// callKind is how a system call names its descriptors.
type callKind uint8

const (
	callFD     callKind = iota + 1 // by the first argument
	callPoll                       // by an array of struct pollfd and its length
	callSelect                     // by the highest number plus one and a bit set
	callEpoll                      // by an epoll instance, the first argument
)

// Input identifies a pipe or a terminal as /proc/PID/fd does.
type Input struct {
	link     string // the target of the link
	terminal uint64 // the device number; 0 for a pipe
}

// Pipe returns the Input for a descriptor of a pipe.
func Pipe(fd int) (Input, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return Input{link: "pipe:[" + strconv.FormatUint(st.Ino, 10) + "]"}, err
}

// ptsMajor is the major number of the slaves of pseudo-terminals (UNIX98_PTY_SLAVE_MAJOR of
// linux/major.h).
const ptsMajor = 136

// Terminal returns the Input for the slave of a pseudo-terminal, given a descriptor of its master.
func Terminal(master int) (Input, error) {
	number, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	return Input{"/dev/pts/" + strconv.Itoa(int(number)), unix.Mkdev(ptsMajor, number)}, err
}

// Scan reports whether one of some processes, or of their descendants, is blocked in a system call
// that waits for in. False also means that it is not known, since a process may not be inspected
// (ptrace(2)), a bound was reached, or the architecture is not supported. It takes about 50 µs per
// thread.
func Scan(pids []int, in Input) bool {
	if inputCalls == nil {
		return false
	}
	s := scan{input: in, threads: maxThreads}
	for n := 0; len(pids) > 0 && n < maxProcesses && s.threads > 0; n++ {
		if s.process(pids[0]) {
			return true
		}
		pids = append(pids[1:], s.children...)
	}
	return false
}

// scan is the state of a Scan.
type scan struct {
	input    Input
	threads  int   // how many may still be checked
	children []int // of the last process
	pid      int   // of the last process
}

// process reports whether a thread of a process waits for the input, and sets children.
func (s *scan) process(pid int) bool {
	s.pid, s.children = pid, nil
	for _, tid := range procfs.Threads(pid, s.threads) {
		if s.threads--; s.thread(tid) {
			return true
		}
	}
	return false
}

func (s *scan) thread(tid int) bool {
	children, _ := procfs.ThreadChildren(s.pid, tid)
	s.children = append(s.children, children[:min(len(children), maxProcesses-len(s.children))]...)
	call, args, ok := procfs.Syscall(s.pid, tid)
	if !ok || !s.sleeps(tid) {
		return false
	}
	switch inputCalls[call] {
	case callFD:
		return s.isInput(args[0])
	case callPoll:
		return s.polls(args[0], args[1])
	case callSelect:
		return s.selects(args[0], args[1])
	case callEpoll:
		return s.epolls(args[0])
	}
	return false
}

// sleeps is false for a thread that is stopped in its system call.
func (s *scan) sleeps(tid int) bool {
	st, err := procfs.ReadThreadStat(s.pid, tid)
	return err == nil && st.State == 'S'
}

// isInput reports whether a descriptor of the process is the input.
func (s *scan) isInput(fd uint64) bool {
	link, err := procfs.FDLink(s.pid, fd)
	if err != nil {
		return false
	}
	return link == s.input.link || s.input.terminal != 0 && link == "/dev/tty" && s.controllingTerminal() == s.input.terminal
}

func (s *scan) controllingTerminal() uint64 {
	st, err := procfs.ReadStat(s.pid)
	if err != nil {
		return 0
	}
	return st.Terminal
}

// pollReadNormal is POLLRDNORM of poll.h.
const pollReadNormal = 0x40

// polls reports whether an array of struct pollfd contains the input.
func (s *scan) polls(array, count uint64) bool {
	const size = int(unsafe.Sizeof(unix.PollFd{}))
	memory := s.memory(array, size*int(min(count, maxFiles)))
	for ; len(memory) >= size; memory = memory[size:] {
		fd := int32(binary.NativeEndian.Uint32(memory))
		events := binary.NativeEndian.Uint16(memory[4:])
		if fd >= 0 && events&(unix.POLLIN|pollReadNormal) != 0 && s.isInput(uint64(fd)) {
			return true
		}
	}
	return false
}

// selects reports whether the read set of select(2) contains the input.
func (s *scan) selects(highest, set uint64) bool {
	const word = 64
	words := (min(highest, maxFiles) + word - 1) / word
	memory := s.memory(set, int(words)*word/8)
	for fd := range uint64(len(memory)) / (word / 8) * word {
		bits := binary.NativeEndian.Uint64(memory[fd/word*8:])
		if bits>>(fd%word)&1 != 0 && s.isInput(fd) {
			return true
		}
	}
	return false
}

// epolls reports whether an epoll instance waits for the input.
func (s *scan) epolls(fd uint64) bool {
	for _, target := range procfs.EpollTargets(s.pid, fd, maxFiles) {
		if target.Events&unix.EPOLLIN != 0 && s.isInput(target.FD) {
			return true
		}
	}
	return false
}

// memory returns a copy of n bytes of the memory of the process, or of fewer if some are not mapped.
func (s *scan) memory(address uint64, n int) []byte {
	if address == 0 || n == 0 {
		return nil
	}
	to := make([]byte, n)
	local := []unix.Iovec{{Base: &to[0]}}
	local[0].SetLen(n)
	n, err := unix.ProcessVMReadv(s.pid, local, []unix.RemoteIovec{{Base: uintptr(address), Len: n}}, 0)
	if err != nil || n <= 0 {
		return nil
	}
	return to[:n]
}
