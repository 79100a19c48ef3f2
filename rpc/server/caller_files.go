package server

import (
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/files"
)

// FileAccess returns what the caller may do with files: what a command may that runs in dir with that
// sandbox, which may be nil. So it requires the right to run any command: a policy that permits only some
// programs permits no access to files. If the policy lists directories, only those are accessible. The
// files of the server are hidden.
func (c *Caller) FileAccess(dir string, box *rpc.Sandbox) (*files.Access, error) {
	p := &rpc.ExecuteParams{Command: rpc.Command{Shell: ":"}, Cwd: rpc.Bytes(dir), Sandbox: box}
	if err := c.authorize(rpc.MethodExecute, p); err != nil {
		return nil, callerError(err)
	}
	caller := c.identity()
	if bad := mayStart(caller); bad != nil {
		return nil, bad
	}
	spec, bad := c.server.o.Defaults.spec(caller.Principal, p)
	if bad != nil {
		return nil, bad
	}
	if err := c.restrict(caller, p, &spec); err != nil {
		return nil, callerError(err)
	}
	if err := c.sandbox(p, &spec); err != nil {
		return nil, callerError(err)
	}
	a := &files.Access{Sandbox: spec.Program.Sandbox, Hidden: c.server.sessions.Options().Host.HiddenFromSandboxes()}
	if spec.Directories != nil {
		a.Restricted, a.Rule = true, "directories"
		for _, d := range spec.Directories {
			a.Roots = append(a.Roots, files.Root{Path: d, Access: sandbox.Write})
		}
	}
	if u := spec.Program.User; u != nil {
		a.As = u.Files
	}
	return a, nil
}
