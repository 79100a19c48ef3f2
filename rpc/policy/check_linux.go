package policy

import (
	"cmp"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Check decides whether the files that were opened are those that the policy permits. It may wait
// for a file system. Every error is a *Refusal. It is called at most once.
func (d *Decision) Check(o process.Opened) error {
	d.Dir, d.Program = o.Dir.Path, o.Programs[0].Path
	if err := d.checkDirectory(o.Dir); err != nil {
		return err
	}
	writable, err := d.checkProgram(o.Programs[0])
	if err != nil {
		return err
	}
	for _, f := range o.Programs[1:] {
		if err := d.checkInterpreter(f, writable); err != nil {
			return err
		}
	}
	return nil
}

func (d *Decision) checkDirectory(f process.File) error {
	dir, id, err := openDirectory(f.Path, unix.RESOLVE_NO_SYMLINKS)
	if err != nil || id != (fileID{f.Dev, f.Ino}) {
		return d.section.refuse("directories", "cwd", "%q was exchanged", f.Path)
	}
	for _, root := range d.roots {
		if real, _, err := openDirectory(root, 0); err == nil && sandbox.Below(dir, real) {
			return nil
		}
	}
	return d.section.refuse("directories", "cwd", "%q is not in a directory of the list", f.Path)
}

// key returns the key that permits the program.
func (d *Decision) key() string {
	if d.programs == nil {
		return "shell"
	}
	return "programs"
}

// checkProgram checks the program. If it is permitted, writable is that of its entry in the list.
func (d *Decision) checkProgram(f process.File) (writable bool, err error) {
	key := d.key()
	found, err := d.resolve("the program", f)
	if err != nil {
		return false, err
	}
	weak := func() error {
		return d.section.refuse(key, "command", "%q is not safe from the users of the policy: %s", f.Path, found.weak)
	}
	if d.programs == nil {
		d.Rule = d.section.rule(key)
		if found.weak != "" {
			err = weak()
		}
		return false, err
	}
	for _, p := range d.programs {
		listed, e := d.policy.trust.resolve(p.listed(d.name))
		switch {
		case e != nil || listed.id != found.id:
		case p.writable || found.weak == "" && listed.weak == "":
			d.Rule = p.rule
			return p.writable, nil
		default:
			found.weak = cmp.Or(found.weak, listed.weak)
			err = weak()
		}
	}
	if err == nil {
		err = d.section.refuse(key, "command", "%q, found as %q, is not in the list", f.Path, d.name)
	}
	return false, err
}

// checkInterpreter checks an interpreter: it is not in the list, but must be as safe as the program.
func (d *Decision) checkInterpreter(f process.File, writable bool) error {
	found, err := d.resolve("the interpreter", f)
	if err == nil && found.weak != "" && !writable {
		err = d.section.refuse(d.key(), "command", "the interpreter %q is not safe from the users of the policy: %s", f.Path, found.weak)
	}
	return err
}

// resolve returns the file that is at the path of an opened file, which must be that file.
func (d *Decision) resolve(what string, f process.File) (resolvedFile, error) {
	found, err := d.policy.trust.resolve(f.Path)
	if err != nil || found.id != (fileID{f.Dev, f.Ino}) {
		return found, d.section.refuse(d.key(), "command", "%s %q was exchanged", what, f.Path)
	}
	return found, nil
}
