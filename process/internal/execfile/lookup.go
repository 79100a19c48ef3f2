package execfile

import (
	"iter"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Program is what is executed.
type Program struct {
	Name string // argv[0]; without a slash it is looked up in Path
	Dir  string // the working directory of the program, to which other paths are relative; "" for that of this process
	Path string // the value of PATH: see PathOf
}

// defaultPath is the PATH of execvp(3) if the environment has none.
const defaultPath = "/bin:/usr/bin"

// PathOf returns the PATH of an environment.
func PathOf(env []string) string {
	for _, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// lookup returns the path to execute: Name if it has a slash, else the first executable file of
// that name in Path. The error is EACCES if there are only files that cannot be executed.
func (p *Program) lookup() (string, error) {
	if strings.Contains(p.Name, "/") {
		return p.Name, nil
	}
	err := syscall.ENOENT
	for file := range p.candidates() {
		switch p.executable(file) {
		case nil:
			return file, nil
		case syscall.EACCES:
			err = syscall.EACCES
		}
	}
	return "", err
}

// candidates returns the paths that execvp(3) tries, in order: Name if it has a slash, else one for
// each element of Path.
func (p *Program) candidates() iter.Seq[string] {
	return func(yield func(string) bool) {
		if p.Name == "" {
			return
		}
		if strings.Contains(p.Name, "/") {
			yield(p.Name)
			return
		}
		for dir := range strings.SplitSeq(p.Path, ":") {
			if dir == "" {
				dir = "." // an empty element is the working directory
			}
			if !yield(dir + "/" + p.Name) {
				return
			}
		}
	}
}

// executable returns nil if execve(2) accepts the file.
func (p *Program) executable(file string) error {
	if p.Dir != "" && file[0] != '/' {
		file = p.Dir + "/" + file
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return syscall.EACCES
	}
	return nil
}
