package server

import (
	"cmp"
	"errors"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/files"
	"github.com/runnel-rpc/runnel/session"
)

// FileRequest is what an operation on files asks for.
type FileRequest struct {
	Path    string // of the file, absolute and clean
	Changes bool   // the operation may change files
	// Dir is the directory in which a command with the same rights would be started, "" if the client names
	// none. Rules of a sandbox that is required may be relative to it.
	Dir     string
	Sandbox *rpc.Sandbox // nil if the client asks for none
}

// noDirectory is the working directory where the client names none: nothing is below it.
const noDirectory = "/nonexistent"

// noDirectoryHint is for the errors of changes that are refused by a sandbox made for noDirectory.
const noDirectoryHint = "a required sandbox permits no change here, unless the request names the working directory"

// FileAccess returns what the caller may do with files: what a command may that is started in a directory
// with a sandbox. So it requires the right to run any command: a policy that permits only some programs
// permits no access to files. If the policy lists directories, only those are accessible. The files of the
// server are hidden, and those on which it depends are read-only. The limit file_bytes applies. If the audit
// log is required and cannot be written, nothing is accessible.
//
// If the client names no directory, a file is read as by a command that is started at its path, where the
// required sandbox permits that. For changes, no rule is relative to a path that the request happens to
// name: else each path would be in its own workspace.
func (c *Caller) FileAccess(q FileRequest) (*files.Access, error) {
	if err := c.auditAvailable(); err != nil {
		return nil, callerError(err)
	}
	p := &rpc.ExecuteParams{Command: anyCommand, Cwd: rpc.Bytes(cmp.Or(q.Dir, q.Path)), Sandbox: q.Sandbox}
	if err := c.mayRunAny(p); err != nil {
		return nil, callerError(err)
	}
	caller := c.identity()
	spec, bad := c.server.o.Defaults.spec(caller.Principal, p)
	if bad != nil {
		return nil, bad
	}
	if err := c.restrict(caller, p, &spec); err != nil {
		return nil, callerError(err)
	}
	if err := c.fileSandbox(&q, p, &spec); err != nil {
		return nil, callerError(err)
	}
	host := c.server.sessions.Options().Host
	a := &files.Access{Sandbox: spec.Program.Sandbox, Hidden: host.HiddenFromSandboxes(), ReadOnly: host.ReadOnlyInSandboxes()}
	if q.Dir == "" && q.Changes {
		a.SandboxHint = noDirectoryHint
	}
	if limit, ok := spec.Program.Limits[process.FileBytes]; ok {
		a.MaxFileBytes = &limit
	}
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

// MayUseHandles returns the error of a use of an open file if the audit log is required and cannot be written.
func (c *Caller) MayUseHandles() error { return callerError(c.auditAvailable()) }

// fileSandbox sets the sandbox of an operation on files in its spec.
func (c *Caller) fileSandbox(q *FileRequest, p *rpc.ExecuteParams, spec *session.Spec) error {
	floor := spec.Floor
	if q.Dir != "" || !q.Changes {
		if err := c.sandbox(p, spec); err == nil || q.Dir != "" {
			return err
		}
	}
	spec.Program.Dir, spec.Floor = noDirectory, floor
	return c.sandbox(p, spec)
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
