package policy

import (
	"path"

	"golang.org/x/sys/unix"
)

// Check decides whether the files that were opened are those that the policy permits. It may wait
// for a file system. Every error is a *Refusal. It may be called once.
func (d *Decision) Check(o Opened) error {
	if err := d.checkDirectory(o.Dir); err != nil {
		return err
	}
	weak, err := d.checkProgram(o.Program)
	if err != nil {
		return err
	}
	for _, f := range o.Interpreters {
		if err := d.checkInterpreter(f, weak); err != nil {
			return err
		}
	}
	return nil
}

// Rule returns the rule that permits the program, after Check.
func (d *Decision) Rule() string { return d.rule }

func (d *Decision) checkDirectory(f File) error {
	dir, err := pathOf(f.FD)
	if err != nil {
		return d.section.refuse("directories", "cwd", "%q: %v", f.Path, err)
	}
	for _, root := range d.roots {
		if real, err := realDirectory(root); err == nil && below(dir, real) {
			return nil
		}
	}
	return d.section.refuse("directories", "cwd", "%q is the directory %q, which is not in one of the list", f.Path, dir)
}

// realDirectory returns the path of a directory without symbolic links.
func realDirectory(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return pathOf(fd)
}

// checkProgram checks the program, and reports whether its path may be weak.
func (d *Decision) checkProgram(f File) (weak bool, err error) {
	key := "programs"
	if d.programs == nil {
		key = "shell"
	}
	id, err := idOf(f.FD)
	if err != nil {
		return false, d.section.refuse(key, "command", "%q: %v", f.Path, err)
	}
	found, err := d.policy.trust.resolve(f.Path)
	switch {
	case err != nil:
		return false, d.section.refuse(key, "command", "%v", err)
	case !found.id.sameFile(id):
		return false, d.section.refuse(key, "command", "%q was exchanged", f.Path)
	}
	if d.programs == nil {
		d.rule = d.section.rule(key)
		if found.weak != "" {
			return false, d.section.refuse(key, "command", "%q is not safe from the users of the policy: %s", f.Path, found.weak)
		}
		return false, nil
	}
	for _, p := range d.programs {
		if !p.is(f.Path, found, &d.policy.trust) {
			continue
		}
		if found.weak == "" || p.writable {
			d.rule = p.rule
			return p.writable, nil
		}
		err = d.section.refuse(key, "command", "%q is not safe from the users of the policy: %s", f.Path, found.weak)
	}
	if err != nil {
		return false, err
	}
	return false, d.section.refuse(key, "command", "%q, found as %q, is not in the list", found.path, f.Path)
}

// is reports whether a file, that was found at a path, is the program.
func (p *program) is(file string, found resolvedFile, t *trust) bool {
	if p.directory {
		return path.Dir(file) == p.dir
	}
	if file == p.path {
		return true
	}
	listed, err := t.resolve(p.path)
	return err == nil && listed.id.sameFile(found.id) && (listed.weak == "" || p.writable)
}

// checkInterpreter checks an interpreter: it is not in the list, but must be as safe as the program.
func (d *Decision) checkInterpreter(f File, weak bool) error {
	id, err := idOf(f.FD)
	if err != nil {
		return d.section.refuse("programs", "command", "interpreter %q: %v", f.Path, err)
	}
	found, err := d.policy.trust.resolve(f.Path)
	switch {
	case err != nil:
		return d.section.refuse("programs", "command", "interpreter %v", err)
	case !found.id.sameFile(id):
		return d.section.refuse("programs", "command", "the interpreter %q was exchanged", f.Path)
	case found.weak != "" && !weak:
		return d.section.refuse("programs", "command", "the interpreter %q is not safe from the users of the policy: %s", f.Path, found.weak)
	}
	return nil
}
