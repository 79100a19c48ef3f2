package process

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/internal/passwd"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// startOpened is Start for a command with a user, a check or a sandbox. The files are opened with the rights of
// the user for the file system. The exec step then becomes the user, enters the directory and
// executes the program by their descriptors: so both are what was checked, and the kernel checks
// once more whether the user may do that.
//
// The credentials are not changed between fork and exec in this process: it waits for its child
// then, which shares its memory (vfork(2)), and which a process of the user could stop.
func (a *Attempt) startOpened(ctx context.Context) (*Process, error) {
	files, user, err := a.checked(ctx)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	n, argv := files.Exec(a.spec.Argv)
	program := files.Programs[n]
	e := executable{
		path: program.Path, argv: argv, mayBlock: true,
		opened: &spawn.Opened{Dir: files.Dir.FD, Program: program.FD, User: user},
	}
	if a.spec.Sandbox != nil {
		if e.confinement, err = a.confine(ctx, user, &files); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, err
		}
		defer e.confinement.rules.close()
		e.confinement.program = n
	}
	return a.launch(ctx, e)
}

// Check opens the files of the command as Start does, calls Spec.Check, and starts nothing. Its
// errors are those of Start. Of a sandbox it checks only what does not depend on files.
func (a *Attempt) Check(ctx context.Context) error {
	files, _, err := a.checked(ctx)
	if err == nil {
		files.Close()
	}
	if err == nil && a.spec.Sandbox != nil {
		_, err = a.host.EnforceSandbox(a.spec.Sandbox)
	}
	return err
}

// checked opens the files of the command and calls Spec.Check. The caller closes them, unless there is
// an error.
func (a *Attempt) checked(ctx context.Context) (files execfile.Opened, user *User, err error) {
	spec := &a.spec
	if err = spec.check(); err != nil {
		return files, nil, err
	}
	if user, err = spec.runAs(); err != nil {
		return files, nil, err
	}
	files, err = a.open(ctx, user)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && spec.Check != nil:
		err = spec.Check(openedOf(&files))
	}
	if err != nil {
		files.Close()
	}
	return files, user, err
}

// runAs returns the user to become, nil if it is that of this process.
func (s *Spec) runAs() (*User, error) {
	if s.User == nil {
		return nil, nil
	}
	changes, permitted := s.User.Permitted()
	switch {
	case !permitted:
		return nil, s.userError(unix.EPERM)
	case !changes:
		return nil, nil
	}
	return s.User, nil
}

// open opens the files of the command. The caller closes them, also after an error.
func (a *Attempt) open(ctx context.Context, user *User) (files execfile.Opened, err error) {
	spec := &a.spec
	if enterErr := user.Files(func() {
		files, err = execfile.Open(ctx, &a.program, a.waitForPath)
	}); enterErr != nil {
		return files, spec.userError(errnoOf(enterErr))
	}
	if e, ok := errors.AsType[*execfile.OpenError](err); ok {
		err = &SpawnError{Path: spec.Argv[0], Op: "exec", Errno: e.Errno}
		if e.Dir {
			err = &SpawnError{Path: spec.Dir, Op: "chdir", Errno: e.Errno}
		}
	}
	return files, err
}

func openedOf(files *execfile.Opened) (o Opened) {
	o.Dir = fileOf(&files.Dir)
	for i := range files.Programs {
		o.Programs = append(o.Programs, fileOf(&files.Programs[i]))
	}
	return o
}

func fileOf(f *execfile.File) File {
	return File{
		Path: f.Path, Name: f.Name, FD: f.FD, Dev: uint64(f.Info.Dev), Ino: f.Info.Ino, Mode: f.Info.Mode, UID: f.Info.Uid, GID: f.Info.Gid,
		Script: f.Script(),
	}
}

// give makes the standard descriptors of a child belong to its user, who may then open them by name
// (/dev/stdout, /dev/tty). The group of a terminal is that which the mount of devpts sets or, as
// after login(1), tty. After an error none is open. A nil User changes nothing.
func (s *stdio) give(u *User) error {
	if u == nil {
		return nil
	}
	err := s.chown(u)
	if err != nil {
		s.closeChild()
		s.closeParent()
	}
	return err
}

func (s *stdio) chown(u *User) error {
	for i, fd := range s.child {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if i > 0 && fd == s.child[i-1] || st.Mode&unix.S_IFMT == unix.S_IFCHR && !s.terminal { // /dev/null
			continue
		}
		gid := int(u.GID)
		if s.terminal {
			gid = terminalGroup(&st)
		}
		if err := unix.Fchown(fd, int(u.UID), gid); err != nil {
			return err
		}
	}
	return nil
}

// terminalGroup returns the group for the slave of a terminal. Without the option gid of the mount of
// devpts it belongs to the group of this process.
func terminalGroup(st *unix.Stat_t) int {
	if st.Gid != uint32(unix.Getegid()) {
		return -1
	}
	gid, err := passwd.System.Group("tty")
	if err != nil {
		return -1
	}
	return int(gid)
}
