package process

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An exec that waits, for a lease or for a file server, waits in the child; but until the exec is done the parent's
// thread waits for it too (vfork(2)), under the lock of all forks, and the garbage collector waits for that thread. So what
// an exec opens is opened before, in a way that does not wait, and kept open until the exec is done: nobody can take a write
// lease on a file that another process has open. Programs whose files cannot be kept open like this are executed by a
// process between (see Step).

const (
	// maxInterpreters is how many files an exec opens at most: the kernel follows five interpreters of scripts.
	maxInterpreters = 7
	// leaseFirst and leaseLast are the first and the longest time between two looks at a lease.
	leaseFirst = time.Millisecond
	leaseLast  = 50 * time.Millisecond
	// maxScriptLine is how much of a script the kernel reads (BINPRM_BUF_SIZE).
	maxScriptLine = 256
	// maxHeaders bounds the program headers of an ELF file, as the kernel does.
	maxHeaders = 64 << 10
)

// files are what is kept open for one exec.
type files struct {
	fds     [maxInterpreters + 1]int
	n       int
	shared  [maxInterpreters]*heldFile
	m       int
	of      *heldFiles
	path    string // of the program, once Prepare has taken all
	mayWait bool   // the exec may wait for somebody
}

func (f *files) keep(fd int) {
	f.fds[f.n] = fd
	f.n++
}

func (f *files) share(h *heldFile) {
	f.shared[f.m] = h
	f.m++
}

func (f *files) close() {
	for _, fd := range f.fds[:f.n] {
		_ = unix.Close(fd)
	}
	for _, h := range f.shared[:f.m] {
		f.of.give(h)
	}
	f.n, f.m, f.path = 0, 0, ""
}

// hold opens the directory, the program and its interpreters. It waits for leases on them until ctx ends. It stops at a file
// that may be executed but not read, or is on a remote file system: the whole exec is then left to a process between.
func (a *Attempt) hold(ctx context.Context, path string) (f files, err error) {
	f.of = a.host.heldFiles
	dir := unix.AT_FDCWD
	if a.spec.Dir != "" {
		a.at.Store(&a.spec.Dir)
		if dir, err = openRetrying(unix.AT_FDCWD, a.spec.Dir, unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return f, err
		}
		f.keep(dir)
		if f.mayWait = isRemote(dir); f.mayWait {
			return f, nil
		}
	}
	for range maxInterpreters {
		at := path
		a.at.Store(&at)
		if path, err = f.holdOne(ctx, dir, path); err != nil || path == "" || f.mayWait {
			break
		}
	}
	if err == errIrregular { // the exec refuses it at once
		err = nil
	}
	if err == nil && !f.mayWait {
		a.at.Store(&a.spec.Argv[0])
	}
	return f, err
}

// holdOne opens a file, unless that is open already, and returns its interpreter.
func (f *files) holdOne(ctx context.Context, dir int, path string) (interpreter string, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, path, &st, 0); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG { // opening a device may do something
		return "", errIrregular
	}
	if h := f.of.take(idOf(&st)); h != nil {
		f.share(h)
		return h.interpreter, nil
	}
	fd, err := openLeased(ctx, dir, path)
	if err == unix.EACCES || err == unix.EPERM {
		f.mayWait = true
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if f.mayWait = isRemote(fd); f.mayWait {
		f.keep(fd)
		return "", nil
	}
	interpreter = interpreterOf(fd)
	if h := f.of.add(fd, interpreter); h != nil {
		f.share(h)
	} else {
		f.keep(fd)
	}
	return interpreter, nil
}

var errIrregular = unix.EISDIR

// openLeased opens a file for reading. While somebody has a write lease on it, it looks again until ctx ends.
func openLeased(ctx context.Context, dir int, path string) (int, error) {
	for pause := leaseFirst; ; pause = min(2*pause, leaseLast) {
		fd, err := openRetrying(dir, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
		if err != unix.EWOULDBLOCK {
			return fd, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return -1, err
		}
	}
}

func openRetrying(dir int, path string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, path, flags|unix.O_CLOEXEC, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// remoteFilesystems are those that may wait for another machine or for a process: the f_type of statfs(2).
var remoteFilesystems = map[uint32]bool{
	unix.NFS_SUPER_MAGIC:    true,
	unix.SMB_SUPER_MAGIC:    true,
	unix.SMB2_SUPER_MAGIC:   true,
	unix.CIFS_SUPER_MAGIC:   true,
	unix.V9FS_MAGIC:         true,
	unix.FUSE_SUPER_MAGIC:   true,
	unix.AFS_SUPER_MAGIC:    true,
	unix.AFS_FS_MAGIC:       true,
	unix.CEPH_SUPER_MAGIC:   true,
	unix.CODA_SUPER_MAGIC:   true,
	unix.NCP_SUPER_MAGIC:    true,
	unix.AUTOFS_SUPER_MAGIC: true,
	unix.OCFS2_SUPER_MAGIC:  true,
	0x01161970:              true, // GFS2
	0x0bd00bd0:              true, // Lustre
	0x47504653:              true, // GPFS
	0x786f4256:              true, // vboxsf
	0xbacbacbc:              true, // vmhgfs
	0x7c7c6673:              true, // prl_fs
}

func isRemote(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) != nil || remoteFilesystems[uint32(st.Type)]
}

// interpreterOf is the interpreter of a script (execve(2)) or of an ELF file (elf(5)), "" where there is none. Errors of a
// file are left to the exec.
func interpreterOf(fd int) string {
	var first [1024]byte
	n, err := unix.Pread(fd, first[:], 0)
	if err != nil {
		return ""
	}
	head := first[:n]
	if script, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		return scriptInterpreter(script[:min(len(script), maxScriptLine-2)])
	}
	if bytes.HasPrefix(head, []byte("\x7fELF")) && len(head) >= 64 {
		return elfInterpreter(fd, head)
	}
	return ""
}

func scriptInterpreter(line []byte) string {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t\x00"); end >= 0 {
		line = line[:end]
	}
	return string(line)
}

// elfInterpreter is what the program header PT_INTERP names.
func elfInterpreter(fd int, head []byte) string {
	const interp = 3 // PT_INTERP
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 { // ELFDATA2MSB
		order = binary.BigEndian
	}
	var at, size, count uint64
	wide := head[4] == 2 // ELFCLASS64
	if wide {
		at, size, count = order.Uint64(head[32:]), uint64(order.Uint16(head[54:])), uint64(order.Uint16(head[56:]))
	} else {
		at, size, count = uint64(order.Uint32(head[28:])), uint64(order.Uint16(head[42:])), uint64(order.Uint16(head[44:]))
	}
	if size < 32 || wide && size < 56 || size*count > maxHeaders {
		return ""
	}
	headers := part(fd, head, at, size*count)
	for ; uint64(len(headers)) >= size; headers = headers[size:] {
		if order.Uint32(headers) != interp {
			continue
		}
		if wide {
			at, size = order.Uint64(headers[8:]), order.Uint64(headers[32:])
		} else {
			at, size = uint64(order.Uint32(headers[4:])), uint64(order.Uint32(headers[16:]))
		}
		name, _, _ := strings.Cut(string(part(fd, head, at, min(size, unix.PathMax))), "\x00")
		return name
	}
	return ""
}

// part is n bytes of a file at some place, of which head is the beginning; nil where they are not there.
func part(fd int, head []byte, at, n uint64) []byte {
	if at <= uint64(len(head)) && n <= uint64(len(head))-at {
		return head[at : at+n]
	}
	if at > 1<<62 {
		return nil
	}
	b := make([]byte, n)
	if got, err := unix.Pread(fd, b, int64(at)); err != nil || uint64(got) < n {
		return nil
	}
	return b
}
