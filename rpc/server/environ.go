package server

import (
	"os"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
)

// enterDirectory notes the server's working directory and makes it the PWD of Environ. os.Getwd takes the server's
// own PWD where that names the directory, so symbolic links in it are kept.
func (d *Defaults) enterDirectory() {
	d.dir, _ = os.Getwd() // "" where it was removed: then no PWD is passed on
	d.Environ = slices.DeleteFunc(slices.Clone(d.Environ), func(e string) bool { return strings.HasPrefix(e, "PWD=") })
	if d.dir != "" {
		d.Environ = append(d.Environ, "PWD="+d.dir)
	}
}

// environ is the environment of a command that runs in cwd: the server's, with PWD for that directory, changed as the
// client says. Without any change it is Environ itself, shared by all sessions.
func (d *Defaults) environ(change map[string]*string, cwd string) ([]string, *rpc.Error) {
	if len(change) == 0 && cwd == "" {
		return d.Environ, nil
	}
	env := make([]string, 0, len(d.Environ)+len(change)+1)
	for _, e := range d.Environ {
		name, _, _ := strings.Cut(e, "=")
		if _, ok := change[name]; !ok && (name != "PWD" || cwd == "") {
			env = append(env, e)
		}
	}
	if _, ok := change["PWD"]; !ok && cwd != "" {
		if dir := d.absolute(cwd); dir != "" {
			env = append(env, "PWD="+dir)
		}
	}
	for name, value := range change {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, rpc.InvalidParams("env", "env has a name that is empty or holds = or NUL")
		}
		if value == nil {
			continue
		}
		if err := checkVariable(variableField(name), name, *value); err != nil {
			return nil, err
		}
		env = append(env, name+"="+*value)
	}
	return env, nil
}

// absolute is a directory as the client named it, behind the server's own if it is relative, and without the empty and
// "." components that POSIX allows in no PWD. Symbolic links and ".." are kept: to resolve them takes a look at the file
// system, which may block. It is "" for a relative one if the server's own directory is unknown.
func (d *Defaults) absolute(cwd string) string {
	if !strings.HasPrefix(cwd, "/") {
		if d.dir == "" {
			return ""
		}
		cwd = d.dir + "/" + cwd
	}
	var path strings.Builder
	for part := range strings.SplitSeq(cwd, "/") {
		if part != "" && part != "." {
			path.WriteString("/" + part)
		}
	}
	if path.Len() == 0 {
		return "/"
	}
	return path.String()
}
