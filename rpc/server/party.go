package server

import (
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// party is who makes requests over a connection, whatever the protocol of that. It has the checks that
// every request passes, in their order, and writes the audit log. Its methods may be called
// concurrently, except auditOpen, auditClose, auditWrite and refusedTooOften.
type party struct {
	server    *Server
	id        string // of the connection
	principal string
	from      refusedPeer
	audit     auditor
	identity  func() access.Identity // by the newest credential
	refusals  *rate.Limiter          // of executes because of a limit; nil at first
}

// log returns the logger of the connection. It is made when it is used, because it takes half a
// kilobyte.
func (c *party) log() *zerolog.Logger {
	log := c.server.o.Log.With().Str("connection", c.id).Logger()
	return &log
}

// authorize returns the error of Options.Authorize for the caller of a method.
func (c *party) authorize(method string, params any) error {
	if authorize := c.server.o.Authorize; authorize != nil {
		return authorize(c.identity(), method, params)
	}
	return nil
}

// mayRunAny returns an error if the caller may not run the command of p, which stands for any command, or may have no
// session. What the server does itself for a caller, such as an operation on a file, requires the right to run any
// command; restrict checks the rest of it.
func (c *party) mayRunAny(p *rpc.ExecuteParams) error {
	if err := c.authorize(rpc.MethodExecute, p); err != nil {
		return err
	}
	caller := c.identity()
	if bad := mayStart(caller); bad != nil {
		return bad
	}
	return c.server.sessions.Excluded(caller.Principal)
}

// reserve returns the session of an execute: a new one, which has a slot, or that of the same
// execute before. mayAttach returns the error if the connection cannot be attached to a session with
// that id.
func (c *party) reserve(
	p *rpc.ExecuteParams, mayAttach func(id string) *rpc.Error,
) (s *session.Session, created bool, err error) {
	caller := c.identity()
	if bad := mayStart(caller); bad != nil {
		return nil, false, bad
	}
	spec, bad := c.server.o.Defaults.spec(caller.Principal, p)
	if bad != nil {
		return nil, false, bad
	}
	spec.Role, spec.Credential = caller.Role, caller.Credential
	if err := c.restrict(caller, p, &spec); err != nil {
		return nil, false, err
	}
	if err := c.sandbox(p, &spec); err != nil {
		e, _ := rpcError(err, spec.ID)
		return nil, false, e
	}
	spec.Directories = nil // not kept with the session
	if bad := mayAttach(spec.ID); bad != nil {
		return nil, false, bad
	}
	if err := c.auditAvailable(); err != nil {
		if _, missing := c.server.sessions.Find(spec.Owner, spec.ID); missing != nil { // else it is repeated
			return nil, false, err
		}
	}
	s, created, err = c.server.sessions.Reserve(spec)
	if err != nil {
		e, _ := rpcError(err, spec.ID)
		return nil, false, e
	}
	return s, created, nil
}

// begin starts a new session, to which the connection is attached.
func (c *party) begin(s *session.Session) {
	c.server.reached(checkpointBegin)
	if c.server.endsRevoked(s) { // since the request was read
		s.End(session.Canceled, nil)
	}
	s.Begin()
	c.server.reached(checkpointBegun)
}
