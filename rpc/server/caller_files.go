package server

import (
	"errors"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
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
	host := c.server.sessions.Options().Host
	a := &files.Access{Sandbox: spec.Program.Sandbox, Hidden: host.HiddenFromSandboxes(), ReadOnly: host.ReadOnlyInSandboxes()}
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

// AuditFile writes an operation on a file to the audit log: what was done, and to of a copy. err is why the
// operation was refused or has failed. Lines about one file within a second are merged.
func (c *Caller) AuditFile(action, path, to string, err error) {
	l := c.audit.log
	if l == nil {
		return
	}
	e := &audit.File{Caller: c.auditedCaller(), Action: action, Path: path, To: to, Error: auditedFileError(err)}
	x := auditedRequest{kind: fileLine, action: action, caller: e.Caller, path: path, to: to, err: e.Error}
	if !c.merged(x) {
		l.Write(e)
	}
}

// auditedFileError returns an error as the audit log has it.
func auditedFileError(err error) audit.Error {
	e, ok := errors.AsType[*files.Error](err)
	switch {
	case !ok:
		return auditedError(err)
	case IsRefusedFile(e):
		return audit.Error{Code: rpc.CodeForbidden, Kind: "forbidden", Rule: e.Rule, Field: "path"}
	}
	return audit.Error{Code: rpc.CodeInternal, Kind: "file_failed"}
}

// IsRefusedFile reports whether an operation on a file was refused by what the caller may do, and not by the
// system.
func IsRefusedFile(e *files.Error) bool { return e.Invisible || errors.Is(e, files.ErrForbidden) }
