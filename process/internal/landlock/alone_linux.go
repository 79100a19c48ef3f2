package landlock

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// allowAlone gives access to all files that the command may reach, by rules alone.
func (r *ruleset) allowAlone(c *sandbox.Config, o *Options) error {
	p := plan{ruleset: r, root: place{rule: -1, path: "/"}}
	defer p.root.close()
	if err := p.addBase(c); err != nil {
		return err
	}
	for i := range c.Files {
		if err := p.addRule(c, i, o.open); err != nil {
			return err
		}
	}
	if err := p.excludeAll(o); err != nil {
		return err
	}
	return p.cover(&p.root, p.root.file.fd, 0, governing{rule: -1})
}

// plan is which access is given where.
type plan struct {
	*ruleset
	root    place
	dev     uint64 // the file system of /dev, 0 if there is none
	places  int    // below the root
	entries int    // of directories, that were read
}

// addBase adds what does not depend on the rules: the default, the devices and /proc. The devices in
// /dev that are not for every command are not accessible, but may be listed.
func (p *plan) addBase(c *sandbox.Config) error {
	if err := p.addPath("/", rights(c.FilesDefault)); err != nil {
		return err
	}
	if err := p.addPath("/dev", list); err != nil {
		return err
	}
	var st unix.Stat_t
	if unix.Stat("/dev", &st) == nil {
		p.dev = st.Dev
	}
	for _, name := range devices {
		if err := p.addPath("/dev/"+name, device); err != nil {
			return err
		}
	}
	return p.addPath("/proc", readFiles|list)
}

// addPath adds a path, unless it does not exist.
func (p *plan) addPath(path string, access uint64) error {
	f, err := open(path, openPath)
	if err != nil {
		return ignoreMissing(path, err)
	}
	return p.put(f, access, -1)
}

func ignoreMissing(path string, err error) error {
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return pathError(path, err)
}

// addRule adds a rule of the sandbox.
func (p *plan) addRule(c *sandbox.Config, i int, openRule func(string) (int, error)) error {
	rule := &c.Files[i]
	f, err := open(rule.Path, openRule)
	if err != nil {
		if rule.Missing == sandbox.Skip {
			return ignoreMissing(rule.Path, err)
		}
		return pathError(rule.Path, err)
	}
	access, why := p.accessOf(rule, f)
	if why != "" {
		_ = unix.Close(f.fd)
		return notEnforceable(i, why)
	}
	if access == ignored {
		_ = unix.Close(f.fd)
		return nil
	}
	if f.path == terminals && access != 0 {
		if err := p.addPath("/dev/ptmx", device); err != nil {
			return err
		}
	}
	if at := p.root.find(f.path); at != nil && at.set && at.rule >= 0 { // another name of the same file
		access &= at.access
	}
	return p.put(f, access, i)
}

// terminals is the directory of all terminals. Those of one user may open each other, so a command
// may open none of them by its path, except for its own (AllowTerminal), unless a rule is for it.
const terminals = "/dev/pts"

// ignored is the access of a rule that gives nothing that is not there.
const ignored = ^uint64(0)

// accessOf returns the rights of a rule, or why it is not enforceable.
func (p *plan) accessOf(rule *sandbox.Rule, f file) (access uint64, why string) {
	access = rights(rule.Access)
	switch {
	case sandbox.Below(f.path, "/proc"):
		switch {
		case access == write:
			return 0, "below /proc nothing can be made writable"
		case f.path == "/proc":
			return access, ""
		case access == read:
			return ignored, ""
		}
		return 0, "below /proc nothing can be hidden without a mount namespace"
	case sandbox.Below(f.path, "/sys") && access == write:
		return 0, "below /sys nothing can be made writable"
	case f.path == terminals && access == write:
		return write | device, "" // asked for by its name
	case f.path == "/dev" && access == read:
		return ignored, ""
	case access != 0 && (f.device || p.dev == f.dev && sandbox.Below(f.path, "/dev")) && !isDevice(f.path):
		return 0, "it is a device file or has some, of which a command gets only a few"
	case f.device && access != 0:
		return ignored, ""
	}
	return access, ""
}

// isDevice reports whether a path is that of a device file that every command has.
func isDevice(path string) bool {
	for _, name := range devices {
		if path == "/dev/"+name {
			return true
		}
	}
	return false
}

func notEnforceable(rule int, why string) error {
	field := string(sandbox.FilesPart)
	if rule >= 0 {
		field = fmt.Sprintf("%s[%d]", sandbox.FilesPart, rule)
	}
	return &sandbox.NotEnforceableError{Field: field, Why: why + "; the sandbox has only Landlock here"}
}

// file is an open file and what is known about it.
type file struct {
	fd     int
	path   string // without symbolic links
	dev    uint64
	dir    bool
	device bool
}

// open opens a path. The path of the file is that which the kernel reports for the descriptor, and has
// to lead to the same file.
func open(path string, openPath func(string) (int, error)) (file, error) {
	fd, err := openPath(path)
	if err != nil {
		return file{}, err
	}
	f := file{fd: fd}
	var st, now unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		f.path, err = descriptorPath(fd)
	}
	if err == nil {
		err = unix.Lstat(f.path, &now)
	}
	if err == nil && (now.Dev != st.Dev || now.Ino != st.Ino) {
		err = unix.ESTALE // it was removed or moved, or is hidden by a mount
	}
	if err != nil {
		_ = unix.Close(fd)
		return file{}, err
	}
	f.dev, f.dir = st.Dev, st.Mode&unix.S_IFMT == unix.S_IFDIR
	f.device = st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK
	return f, nil
}

func descriptorPath(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), buf)
	if err != nil {
		return "", err
	}
	path := string(buf[:n])
	if !filepath.IsAbs(path) {
		return "", unix.ENOENT
	}
	return path, nil
}
