package server

import (
	"errors"
	"os"

	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// NetworkAccess is what a caller may connect to.
type NetworkAccess struct {
	// Restricted is set if only the destinations of Allow may be connected to.
	Restricted bool
	Allow      []sandbox.Destination
}

// ruleNetwork is what an error names if a required sandbox forbids a destination.
const ruleNetwork = "sandbox.network"

// NetworkAccess returns what the caller may connect to by a request that the server makes: what a command
// may that has the sandbox that the server or the policy requires. So it requires the right to run any
// command: a policy that permits only some programs permits no connection. A required sandbox without a
// network permits none either, and so does a policy whose commands run as another user than the server:
// packet filters, and servers on this machine, may tell the users apart. If the audit log is required and
// cannot be written, nothing is permitted.
func (c *Caller) NetworkAccess() (*NetworkAccess, error) {
	if err := c.auditAvailable(); err != nil {
		return nil, callerError(err)
	}
	if err := c.mayRunAny(&rpc.ExecuteParams{Command: anyCommand}); err != nil {
		return nil, callerError(err)
	}
	box, err := c.requiredSandbox()
	if err != nil {
		return nil, callerError(err)
	}
	switch {
	case box == nil || box.Network.Mode == sandbox.FullNetwork:
		return &NetworkAccess{}, nil
	case box.Network.Mode == sandbox.AllowList:
		return &NetworkAccess{Restricted: true, Allow: box.Network.Allow}, nil
	}
	return nil, rpc.Forbidden(ruleNetwork, "request")
}

// anyCommand stands for any command.
var anyCommand = rpc.Command{Shell: ":"}

// requiredSandbox returns the sandbox that each command of the caller has, nil for none. The caller has the
// right to run any command, as the user of the server.
func (c *Caller) requiredSandbox() (*sandbox.Config, error) {
	caller := c.identity()
	p := &rpc.ExecuteParams{Command: anyCommand}
	spec, bad := c.server.o.Defaults.spec(caller.Principal, p)
	if bad != nil {
		return nil, bad
	}
	err := c.restrict(caller, p, &spec)
	if err != nil && len(spec.Directories) > 0 { // a command has to be started in one of them
		p.Cwd = rpc.Bytes(spec.Directories[0])
		if spec, bad = c.server.o.Defaults.spec(caller.Principal, p); bad != nil {
			return nil, bad
		}
		err = c.restrict(caller, p, &spec)
	}
	if err != nil {
		return nil, err
	}
	if u := spec.Program.User; u != nil && int(u.UID) != os.Geteuid() {
		return nil, rpc.Forbidden("user", "request")
	}
	spec.Program.Dir = noDirectory // what is relative to it makes no difference for the network
	if err := c.sandbox(p, &spec); err != nil {
		return nil, err
	}
	return spec.Program.Sandbox, nil
}

// Exchange is an HTTP request of the server for a caller, and its response.
type Exchange struct {
	Method string
	Host   string // a name or an address, without the port
	Port   int
	Status int // of the response; 0 if there is none
}

// AuditHTTP writes an HTTP request to the audit log. err is why it was refused or has failed. Lines about
// the same exchange, and about requests that were refused, within a second are merged.
func (c *Caller) AuditHTTP(x Exchange, err error) {
	l := c.audit.log
	if l == nil {
		return
	}
	e := &audit.HTTP{
		Caller: c.auditedCaller(), Method: x.Method, Host: x.Host, Port: x.Port, Status: x.Status, Error: auditedHTTPError(err),
	}
	if !c.merged(auditedRequest{kind: httpLine, caller: e.Caller, exchange: x, err: e.Error}) {
		l.Write(e)
	}
}

// kindHTTPFailed is the kind of the error of an HTTP request that was not refused.
const kindHTTPFailed = "http_failed"

// auditedHTTPError returns an error as the audit log has it.
func auditedHTTPError(err error) audit.Error {
	if err == nil {
		return audit.Error{}
	}
	if egress.Refused(err) {
		return audit.Error{Code: rpc.CodeForbidden, Kind: "forbidden", Rule: ruleNetwork, Field: "url"}
	}
	if _, ok := errors.AsType[*rpc.Error](err); ok {
		return auditedError(err)
	}
	return audit.Error{Code: rpc.CodeInternal, Kind: kindHTTPFailed}
}
