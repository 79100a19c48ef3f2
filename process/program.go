package process

import (
	"iter"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is where execvp(3) looks when the environment has no PATH.
const defaultPath = "/bin:/usr/bin"

// program is the path to execute: Argv[0] itself if it has a slash, else the first file of that name in
// the PATH of Env that may be executed. EACCES says that there were only files that may not.
func (s *Spec) program() (string, error) {
	name := s.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	err := syscall.ENOENT
	for file := range s.candidates() {
		switch s.executable(file) {
		case nil:
			return file, nil
		case syscall.EACCES:
			err = syscall.EACCES
		}
	}
	return "", err
}

// candidates are the paths that execvp(3) tries for the program, in order: the name itself if it has a slash, else one for
// each element of PATH.
func (s *Spec) candidates() iter.Seq[string] {
	return func(yield func(string) bool) {
		name := s.Argv[0]
		if name == "" {
			return
		}
		if strings.Contains(name, "/") {
			yield(name)
			return
		}
		for dir := range strings.SplitSeq(s.path(), ":") {
			if dir == "" {
				dir = "." // an empty element is the working directory
			}
			if !yield(dir + "/" + name) {
				return
			}
		}
	}
}

func (s *Spec) path() string {
	for _, v := range s.Env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// executable is nil if file, seen from the child's working directory, is one that exec would take.
func (s *Spec) executable(file string) error {
	if s.Dir != "" && file[0] != '/' {
		file = s.Dir + "/" + file
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
