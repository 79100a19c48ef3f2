package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// program is one element of the list programs.
type program struct {
	path      string // as it is written
	dir       string // of path
	directory bool   // all files of dir
	args      Arguments
	writable  bool // users of the policy may write to it
	rule      string
}

// mayBe reports whether a file at a clean absolute path, or in case of a bare name the file that is
// found by it, may be the program. pathVariable is the PATH of the command.
func (p *program) mayBe(file, pathVariable string) bool {
	name := path.Base(file)
	if !p.directory && name != path.Base(p.path) {
		return false
	}
	searched := strings.Split(pathVariable, ":")
	bare := !strings.Contains(file, "/")
	switch {
	case p.directory && bare:
		return slices.Contains(searched, p.dir)
	case p.directory:
		return path.Dir(file) == p.dir
	}
	return bare || file == p.path || slices.Contains(searched, path.Dir(file))
}

// listed returns the path that the entry has for a program that the request names.
func (p *program) listed(name string) string {
	if p.directory {
		return p.dir + "/" + path.Base(name)
	}
	return p.path
}

// command decides on the program as it is written and on its arguments; Check decides on the file
// itself.
func (d *Decision) command(params *rpc.ExecuteParams, spec *session.Spec) error {
	argv := params.Command.Argv
	if argv == nil {
		if !d.section.shell {
			return d.section.refuse("shell", "command", "a string is run by the shell, which is not permitted")
		}
		return nil
	}
	file := argv[0]
	d.name = file
	if strings.Contains(file, "/") && (!path.IsAbs(file) || path.Clean(file) != file) {
		return d.section.refuse("programs", "command[0]", "%q is not an absolute path in its shortest form", file)
	}
	worst := -1
	pathVariable := valueOf(spec.Program.Env, "PATH")
	for i := range d.section.programs {
		p := &d.section.programs[i]
		if !p.mayBe(file, pathVariable) {
			continue
		}
		bad, ok := p.args.Match(argv[1:])
		if ok {
			d.programs = append(d.programs, p)
		}
		worst = max(worst, bad)
	}
	switch {
	case len(d.programs) > 0:
		return nil
	case worst < 0:
		return d.section.refuse("programs", "command[0]", "%q is not in the list", file)
	case worst >= len(argv)-1:
		return d.section.refuse("programs", "command", "%q needs more arguments", file)
	}
	return d.section.refuse("programs", fmt.Sprintf("command[%d]", worst+1), "the arguments of %q match no pattern", file)
}

// valueOf returns the value of a variable of an environment, "" if it is not set.
func valueOf(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}
