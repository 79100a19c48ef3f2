//go:build linux

package escape

import (
	"encoding/binary"
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// architectureAttempts use the system calls of other architectures, which have other numbers.
func architectureAttempts() []attempt {
	const x32 = 0x40000000
	return []attempt{
		{name: "make a user namespace by a 32-bit system call", part: always, maybe: "32-bit system calls and user namespaces",
			try: func(*world) error {
				const unshare = 310
				return inChildBy32(unshare, unix.CLONE_NEWUSER, 0, 0)
			}},
		{name: "contact a socket by 32-bit system calls", part: sockets, maybe: "32-bit system calls",
			prepare: unixServer(unix.SOCK_STREAM, "work/socket"), escaped: contacted,
			try: func(w *world) error {
				const socket = 359
				fd, err := by32(socket, unix.AF_UNIX, unix.SOCK_STREAM, 0)
				if err != nil {
					return err
				}
				return unix.Connect(fd, w.socket())
			}},
		{name: "make any 32-bit system call", part: always, maybe: "32-bit system calls",
			try: func(*world) error {
				const getpid = 20
				_, err := by32(getpid, 0, 0, 0)
				return err
			}},
		{name: "make a user namespace by an x32 system call", part: always, maybe: "x32 system calls",
			try: func(*world) error { return inChild(sys(x32|unix.SYS_UNSHARE, unix.CLONE_NEWUSER)) }},
		{name: "get access to ports", part: always, root: true, maybe: "iopl",
			try: func(*world) error { return inChild(sys(unix.SYS_IOPL, 3)) }},
		{name: "get access to a port", part: always, root: true, maybe: "ioperm",
			try: func(*world) error { return inChild(sys(unix.SYS_IOPERM, 0x80, 1, 1)) }},
	}
}

// by32 makes a 32-bit system call by machine code. If the kernel has none, this process gets SIGSEGV.
func by32(number, a, b, c uint32) (int, error) {
	code, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_32BIT)
	if err != nil {
		return -1, err
	}
	text := code[:0:4096]
	for _, register := range []struct {
		op    byte
		value uint32
	}{{0xb8, number}, {0xbb, a}, {0xb9, b}, {0xba, c}} { // mov eax, ebx, ecx, edx
		text = append(text, register.op)
		text = binary.LittleEndian.AppendUint32(text, register.value)
	}
	text = append(text, 0xcd, 0x80, 0x49, 0xbb) // int 0x80; mov r11, address
	text = binary.LittleEndian.AppendUint64(text, uint64(uintptr(unsafe.Pointer(&code[2048]))))
	text = append(text, 0x41, 0x89, 0x03, 0xc3) // mov [r11], eax; ret
	entry := &code[0]
	function := &entry // a func value points to a pointer to the code
	call := *(*func())(unsafe.Pointer(&function))
	call()
	result := int32(binary.LittleEndian.Uint32(code[2048:]))
	_ = text
	if result < 0 {
		return -1, syscall.Errno(-result)
	}
	return int(result), nil
}

// inChildBy32 makes a 32-bit system call in a process of its own.
func inChildBy32(number, a, b, c uint32) error {
	if _, err := by32(20, 0, 0, 0); err != nil { // getpid
		return err
	}
	_, err := by32(number, a, b, c)
	if errors.Is(err, unix.EINVAL) { // this process has several threads
		return nil
	}
	return err
}
