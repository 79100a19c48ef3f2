package server

import (
	"os"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// setDirectory makes the server's working directory the PWD of Environ. os.Getwd prefers the
// server's own PWD if that is the directory, so symbolic links in it are kept.
func (d *Defaults) setDirectory() {
	d.dir, _ = os.Getwd() // "" if it was removed; then Environ has no PWD
	d.Environ = slices.DeleteFunc(slices.Clone(d.Environ), func(e string) bool { return strings.HasPrefix(e, "PWD=") })
	if d.dir != "" {
		d.Environ = append(d.Environ, "PWD="+d.dir)
	}
}

// environ returns the environment of a command that runs in cwd: Environ, with PWD for that
// directory and the changes of the client. Without any change it is Environ itself, which all
// sessions share.
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
			return nil, rpc.InvalidParams("env", "env has a name that is empty or contains = or NUL")
		}
		if value == nil {
			continue
		}
		if err := checkVariable("env."+wire.Clip(name, 128), name, *value); err != nil {
			return nil, err
		}
		env = append(env, name+"="+*value)
	}
	return env, nil
}

// absolute returns the path of a directory, relative to the server's own, without the empty and "."
// components that POSIX does not allow in PWD. Symbolic links and ".." are kept: resolving them
// needs the file system, which may block. The result is "" if cwd is relative and the server's
// directory is unknown.
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
