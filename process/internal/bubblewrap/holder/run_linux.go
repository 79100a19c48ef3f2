package holder

import (
	"syscall"
	"unsafe"
)

// What package syscall lacks. The numbers are the same on every architecture.
const (
	sysPidfdOpen  = 434
	sysCloseRange = 436

	oPath           = 0x200000
	prSetDumpable   = 4
	prSetDeathSig   = syscall.PR_SET_PDEATHSIG
	prSetName       = 15
	maxSignal       = 64
	ignored         = 1 // SIG_IGN
	backlog         = 128
	maxArguments    = 4096
	highestPossible = 1<<31 - 1
)

func init() {
	listen, ok := isHolder()
	if !ok {
		return
	}
	reply, rights := prepare(listen)
	message := reply.encode()
	var control []byte
	if reply.Step == Done {
		control = syscall.UnixRights(rights...)
	}
	if _, err := syscall.SendmsgN(Socket, message[:], control, nil, 0); err != nil || reply.Step != Done {
		syscall.Exit(1)
	}
	_, _, _ = syscall.RawSyscall(sysCloseRange, Socket+1, highestPossible, 0) // what was sent
	awaitEnd()
	syscall.Exit(0)
}

// isHolder reads the arguments from /proc/self/cmdline. Package os, which has them too, is
// initialized much later. If the executable is dynamically linked, its loader is executed, and the
// arguments of the loader come first.
func isHolder() (listen, ok bool) {
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	var line [maxArguments]byte
	n, _ := syscall.Read(fd, line[:])
	_ = syscall.Close(fd)
	if listen, ok = parseArguments(line[:max(n, 0)]); !ok {
		return false, false
	}
	kind, err := syscall.GetsockoptInt(Socket, syscall.SOL_SOCKET, syscall.SO_TYPE)
	return listen, err == nil && kind == syscall.SOCK_SEQPACKET
}

func parseArguments(line []byte) (listen, ok bool) {
	if len(line) < len(Program) || string(line[:len(Program)]) != Program {
		return false, false
	}
	return ends(line, "\x00"+NameListen+"\x00"), ends(line, "\x00"+Name+"\x00") || ends(line, "\x00"+NameListen+"\x00")
}

func ends(line []byte, end string) bool {
	return len(line) >= len(end) && string(line[len(line)-len(end):]) == end
}

// prepare does all steps. The descriptors are those for a reply with Step Done.
func prepare(listen bool) (reply Reply, rights []int) {
	if errno := isolate(); errno != 0 {
		return Reply{Isolate, uint32(errno)}, nil
	}
	pidfd, _, errno := syscall.RawSyscall(sysPidfdOpen, uintptr(syscall.Getpid()), 0, 0)
	if errno != 0 {
		return Reply{OpenPIDFD, uint32(errno)}, nil
	}
	root, err := syscall.Open("/", oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return failed(OpenRoot, err), nil
	}
	rights = []int{int(pidfd), root}
	if !listen {
		return Reply{}, rights
	}
	listener, err := listenOnLoopback()
	if err != nil {
		return failed(Listen, err), nil
	}
	return Reply{}, append(rights, listener)
}

func failed(step Step, err error) Reply {
	if errno, ok := err.(syscall.Errno); ok {
		return Reply{step, uint32(errno)}
	}
	return Reply{step, uint32(syscall.EIO)}
}

// isolate makes the holder inaccessible to other processes of its user. It is killed if bwrap, its
// parent, is.
func isolate() syscall.Errno {
	if errno := prctl(prSetDumpable, 0); errno != 0 {
		return errno
	}
	if errno := prctl(prSetDeathSig, uintptr(syscall.SIGKILL)); errno != 0 {
		return errno
	}
	name := [16]byte{}
	copy(name[:15], Name)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetName, uintptr(unsafe.Pointer(&name)), 0)
	if _, _, errno := syscall.RawSyscall(sysCloseRange, Socket+1, highestPossible, 0); errno != 0 {
		return errno
	}
	if err := syscall.Dup3(0, 2, 0); err != nil { // descriptor 0 is /dev/null
		return syscall.EBADF
	}
	ignoreSignals()
	return 0
}

func prctl(option int, arg uintptr) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0)
	return errno
}

// ignoreSignals replaces all handlers of the Go runtime: a process of the same user may send any
// signal for which there is one even to the first process of its PID namespace (kill(2)).
func ignoreSignals() {
	action := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: ignored}
	for sig := uintptr(1); sig <= maxSignal; sig++ { // fails for SIGKILL and SIGSTOP
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
	}
}

func listenOnLoopback() (fd int, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0); err != nil {
		return -1, err
	}
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = syscall.Listen(fd, backlog)
	}
	return fd, err
}

// awaitEnd blocks until the server has closed the socket. It does not read messages.
func awaitEnd() {
	for {
		fd := struct {
			fd              int32
			events, revents int16
		}{fd: Socket}
		n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&fd)), 1, 0, 0, 0, 0)
		if errno != syscall.EINTR && (errno != 0 || n == 1 && fd.revents != 0) {
			return
		}
	}
}
