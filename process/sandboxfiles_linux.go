package process

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap"
	"github.com/runnel-rpc/runnel/process/internal/execfile"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// ruleFiles are what the rules of a sandbox name.
type ruleFiles struct {
	names   []string        // the paths of the rules as they were asked for
	config  *sandbox.Config // with paths without symbolic links
	files   []ruleFile      // of the rules
	release func()          // permits others to open files; nil for nothing
}

// ruleFile is what a rule names. A rule that has no effect, since its path does not exist, has none.
type ruleFile struct {
	fd     int // O_PATH, -1 for none
	dir    bool
	exists bool
}

// openRules resolves the rules of a sandbox, and then opens what they give access to, with the rights
// of the user. It makes missing directories. The caller closes the result, also after an error.
func (a *Attempt) openRules(ctx context.Context, user *User, c *sandbox.Config, dir *execfile.File) (r ruleFiles, err error) {
	hiding := *c
	hiding.Hidden = append(hiding.Hidden[:len(hiding.Hidden):len(hiding.Hidden)], a.host.sandboxes.hidden...)
	f := newFinder(ctx, user, dir, a.spec.Dir)
	var resolution *sandbox.Resolution
	if userErr := user.Files(func() {
		resolution, err = hiding.Resolved(func(rule *sandbox.Rule, own bool) sandbox.Found {
			if a.waitForStep("resolving the paths of its profile"); own {
				a.waitForPath(rule.Path)
			}
			return f.find(rule, own)
		})
	}); userErr != nil {
		return r, a.spec.userError(errnoOf(userErr))
	}
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if f.failed != nil {
		return r, &SandboxError{Step: "finding the paths of the rules", Errno: errnoOf(f.failed), Why: f.failed}
	}
	if f.changed { // also if that is why the rules cannot be used
		return r, &SpawnError{Path: a.spec.Dir, Op: "chdir", Errno: unix.EAGAIN}
	}
	if f.refused != nil {
		return r, f.refused
	}
	if err != nil {
		return r, err
	}
	r.config, r.names = &resolution.Config, resolution.Names
	a.waitForStep("waiting for descriptors that other starts have")
	if r.release, err = a.host.sandboxes.ruleFiles.acquire(ctx, len(r.names)); err != nil {
		return r, err
	}
	a.waitForStep("opening the files of its rules")
	r.files = make([]ruleFile, len(r.names))
	for i := range r.files {
		r.files[i].fd = -1
	}
	for _, path := range resolution.Dropped {
		a.reportUnused(UnusedRule{Path: path, Err: sandbox.ErrLink})
	}
	umask := 0
	if a.spec.Attributes.Umask != nil {
		umask = *a.spec.Attributes.Umask
	}
	for i, rule := range r.config.Files {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		if f.unseen[r.names[i]] && rule.Missing != sandbox.Create || isBelow(rule.Path, r.config.Hidden) {
			r.config.Files[i].Missing = sandbox.Skip
			continue // a mount would show whether it exists
		}
		open := func() { err = r.files[i].open(&rule, umask) }
		if rule.Access == sandbox.None && rule.Missing != sandbox.Create { // also what the user may make accessible later
			open()
		} else if userErr := user.Files(open); userErr != nil {
			return r, a.spec.userError(errnoOf(userErr))
		}
		profile := i >= c.Named()
		switch {
		case err != nil && profile && rule.Missing == sandbox.Create && rule.Access == sandbox.Write:
			r.config.Files[i].Missing = sandbox.Skip // a command may have made this impossible
			a.reportUnused(UnusedRule{Path: r.names[i], Err: err})
		case err != nil:
			return r, &sandbox.PathError{Path: r.names[i], Err: err}
		case !r.files[i].exists && profile:
			a.reportUnused(UnusedRule{Path: r.names[i], Err: unix.ENOENT})
		}
	}
	return r, nil
}

// isBelow reports whether a path is one of dirs or in one of them.
func isBelow(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return sandbox.Below(path, dir) })
}

func (r *ruleFiles) close() {
	for i := range r.files {
		if f := &r.files[i]; f.fd >= 0 {
			_ = unix.Close(f.fd)
			f.fd = -1
		}
	}
	if r.release != nil {
		r.release()
		r.release = nil
	}
}

// open opens the path of a rule, which has no symbolic links. A directory that it makes has the umask
// of the command and that of this process.
func (f *ruleFile) open(rule *sandbox.Rule, umask int) (err error) {
	f.fd, err = openPath(rule.Path, unix.RESOLVE_NO_SYMLINKS)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		switch rule.Missing {
		case sandbox.Skip:
			return nil
		case sandbox.Create:
			if err = makeDir(rule.Path, 0o777&^uint32(umask)); err == nil || err == unix.EEXIST {
				f.fd, err = openPath(rule.Path, unix.RESOLVE_NO_SYMLINKS)
			}
		}
	}
	if err != nil {
		f.fd = -1
		return err
	}
	var st unix.Stat_t
	if err = unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	f.exists, f.dir = true, st.Mode&unix.S_IFMT == unix.S_IFDIR
	return nil
}

// makeDir makes a directory. Unlike mkdir(2), it follows no symbolic links.
func makeDir(path string, mode uint32) error {
	dir, err := openPath(filepath.Dir(path), unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return unix.Mkdirat(dir, filepath.Base(path), mode)
}

// openPath opens a file (O_PATH), not following magic links.
func openPath(path string, resolve uint64) (fd int, err error) {
	return openPathAt(unix.AT_FDCWD, path, resolve)
}

// openPathAt is openPath for a path that may be relative to a directory.
func openPathAt(dir int, path string, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS | resolve}
	for {
		if fd, err = unix.Openat2(dir, path, &how); err != unix.EINTR {
			return fd, err
		}
	}
}

// binds returns the rules for bubblewrap.
func (r *ruleFiles) binds() (binds []bubblewrap.Bind) {
	seen := make(map[string]bool)
	for i, rule := range r.config.Files {
		f := r.files[i]
		if !f.exists || seen[rule.Path] {
			continue
		}
		seen[rule.Path] = true
		b := bubblewrap.Bind{Path: rule.Path, FD: f.fd, Access: rule.Access, Dir: f.dir}
		if rule.Access == sandbox.None {
			b.FD = -1
		}
		binds = append(binds, b)
	}
	return binds
}

// links returns the names of rules that lead to their files by symbolic links.
func (r *ruleFiles) links() (links []bubblewrap.Link) {
	for i, rule := range r.config.Files {
		if name := r.names[i]; r.files[i].exists && name != rule.Path && rule.Access != sandbox.None {
			links = append(links, bubblewrap.Link{Path: name, Target: rule.Path})
		}
	}
	return links
}

// open returns a descriptor for the path of a rule.
func (r *ruleFiles) open(path string) (int, error) {
	for i, rule := range r.config.Files {
		if rule.Path == path {
			if !r.files[i].exists {
				return -1, unix.ENOENT
			}
			return unix.FcntlInt(uintptr(r.files[i].fd), unix.F_DUPFD_CLOEXEC, 0)
		}
	}
	return -1, unix.ENOENT
}

// asAsked returns an error with the path as it was asked for. It does not say where a symbolic link
// leads.
func (r *ruleFiles) asAsked(err error) error {
	e, ok := errors.AsType[*sandbox.PathError](err)
	if !ok {
		return err
	}
	for i, rule := range r.config.Files {
		if rule.Path == e.Path {
			return &sandbox.PathError{Path: r.names[i], Err: e.Err}
		}
	}
	return err
}
