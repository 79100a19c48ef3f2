package execfile

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// File is an open file or directory.
type File struct {
	FD   int         // O_PATH, closed on exec
	Name string      // by which it was opened, relative to the working directory
	Path string      // absolute, without symbolic links: where the file was when it was opened
	Info unix.Stat_t // of the descriptor
	line *scriptLine // of a script, else nil
}

// Opened are the files of one start, which is made from their descriptors and not from names.
type Opened struct {
	Dir File
	// Programs are the program and its interpreters, each followed by its interpreter: for a script
	// the program of its first line, which may be a script too, and for a dynamically linked
	// program the dynamic linker. The linker is missing if the program cannot be read.
	Programs []File
}

// Close closes the descriptors.
func (o *Opened) Close() {
	for _, f := range append(o.Programs, o.Dir) {
		if f.FD > 0 {
			_ = unix.Close(f.FD)
		}
	}
	o.Programs, o.Dir = nil, File{}
}

// OpenError is the error of Open for a directory or a program.
type OpenError struct {
	Dir   bool
	Errno unix.Errno
}

func (e *OpenError) Error() string { return e.Errno.Error() }

// Unwrap returns the Errno.
func (e *OpenError) Unwrap() error { return e.Errno }

// maxScripts is how many interpreters of scripts the kernel follows (BINPRM_MAX_RECURSION is 5 with
// the program itself).
const maxScripts = 5

// Open looks the program up and opens its files with the rights that the calling thread has for the
// file system. Unlike the exec it follows no magic links (proc(5)), which would lead to files that
// this process has open: that is ELOOP. It calls waiting with each path before it opens it, and
// waits for leases until ctx ends. It needs Linux 5.6; before that the error is ENOSYS. The error is
// an *OpenError. The caller closes the result, also after an error.
func Open(ctx context.Context, p *Program, waiting func(path string)) (o Opened, err error) {
	dir := p.Dir
	if dir == "" {
		dir = "."
	}
	waiting(dir)
	if o.Dir, err = openFile(unix.AT_FDCWD, dir, unix.O_DIRECTORY); err != nil {
		return o, &OpenError{true, errnoOf(err)}
	}
	program, err := o.openProgram(p, waiting)
	for err == nil {
		o.Programs = append(o.Programs, program)
		next, readErr := o.readLast(ctx)
		if err = readErr; err != nil || next == "" {
			break
		}
		waiting(next)
		program, err = openProgram(o.Dir.FD, next)
	}
	if err != nil {
		return o, &OpenError{false, errnoOf(err)}
	}
	waiting(p.Name)
	return o, nil
}

// openProgram opens the program as execvp(3) finds it.
func (o *Opened) openProgram(p *Program, waiting func(path string)) (File, error) {
	var denied bool
	for name := range p.candidates() {
		waiting(name)
		f, err := openProgram(o.Dir.FD, name)
		if err == nil || strings.Contains(p.Name, "/") || err == unix.ENOSYS {
			return f, err
		}
		denied = denied || err == unix.EACCES
	}
	if denied {
		return File{}, unix.EACCES
	}
	return File{}, unix.ENOENT
}

// openProgram opens a file that may be executed.
func openProgram(dir int, name string) (f File, err error) {
	if f, err = openFile(dir, name, 0); err != nil {
		return f, err
	}
	if f.Info.Mode&unix.S_IFMT != unix.S_IFREG {
		err = unix.EACCES
	} else {
		err = executable(f.FD)
	}
	if err != nil {
		_ = unix.Close(f.FD)
		return File{}, err
	}
	return f, nil
}

// executable is access(2) for X_OK with the rights of the calling thread.
func executable(fd int) error {
	err := unix.Faccessat2(fd, "", unix.X_OK, unix.AT_EACCESS|unix.AT_EMPTY_PATH)
	if err == unix.ENOSYS { // before Linux 5.8; the exec decides
		return nil
	}
	return err
}

// openFile opens a file and finds out its path. The path names the file at that time: if it was
// removed or is hidden by a mount, the error is ENOENT.
func openFile(dir int, name string, flags uint64) (f File, err error) {
	how := unix.OpenHow{Flags: flags | unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	for {
		if f.FD, err = unix.Openat2(dir, name, &how); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return File{}, err
	}
	f.Name = name
	if err = f.identify(); err != nil {
		_ = unix.Close(f.FD)
		return File{}, err
	}
	return f, nil
}

func (f *File) identify() error {
	err := unix.Fstat(f.FD, &f.Info)
	if err != nil {
		return err
	}
	if f.Path, err = os.Readlink(descriptorPath(f.FD)); err != nil {
		return err
	}
	var named unix.Stat_t
	if err := unix.Lstat(f.Path, &named); err != nil {
		return err
	}
	if named.Dev != f.Info.Dev || named.Ino != f.Info.Ino {
		return unix.ENOENT
	}
	return nil
}

func descriptorPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// readLast reads the last program and returns the name of its interpreter, or "" for none.
func (o *Opened) readLast(ctx context.Context) (interpreter string, err error) {
	f := &o.Programs[len(o.Programs)-1]
	fd, err := openLeased(ctx, unix.AT_FDCWD, descriptorPath(f.FD))
	if err == unix.EACCES || err == unix.EPERM { // it can be executed but not read
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	first := make([]byte, maxScriptLine)
	n, err := unix.Pread(fd, first, 0)
	if err != nil {
		return "", err
	}
	if string(first[:min(n, 2)]) != "#!" {
		if len(o.Programs) > 1 && !o.Programs[len(o.Programs)-2].Script() {
			return "", nil // the dynamic linker of the last program
		}
		return interpreterOf(fd), nil
	}
	if len(o.Programs) > maxScripts {
		return "", unix.ELOOP
	}
	if f.line = parseScriptLine(first); f.line == nil {
		return "", unix.ENOEXEC
	}
	if f.line.interpreter == "" {
		return "", unix.ENOENT
	}
	return f.line.interpreter, nil
}

// Script reports whether the file begins with #!.
func (f *File) Script() bool { return f.line != nil }

// Exec returns the index in Programs of what is executed: the program, or the first interpreter
// that is not a script. argv is what the kernel would pass to it, with the paths of scripts instead
// of the names by which they were found.
func (o *Opened) Exec(argv []string) (program int, full []string) {
	full = argv
	for program = 0; o.Programs[program].Script(); program++ {
		f := &o.Programs[program]
		full = slices.Concat([]string{f.line.interpreter}, f.line.arguments, []string{f.Path}, full[1:])
	}
	return program, full
}

func errnoOf(err error) unix.Errno {
	switch e := err.(type) {
	case unix.Errno:
		return e
	case *os.PathError:
		return errnoOf(e.Err)
	}
	return unix.EIO
}
