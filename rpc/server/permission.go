package server

import (
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// permission is what a request does with a session, for the role of its caller.
type permission uint8

const (
	mayRead   permission = iota // its state, record and output
	mayEnd                      // end it, signal it, or forget it
	mayChange                   // anything else
)

// The rules that an error names.
const (
	ruleObserve = "role.observe"
	ruleAdmin   = "role.admin"
	ruleWatch   = "role.watch" // of a caller that may only watch the session
)

// mayStart returns the error of an execute if the role does not start sessions.
func mayStart(id access.Identity) *rpc.Error {
	if !id.Role.MayStart() {
		return rpc.Forbidden(ruleObserve, "method")
	}
	return nil
}

// visible reports whether a caller may know of the sessions of a principal.
func (s *Server) visible(id access.Identity, principal string) bool {
	switch {
	case principal == id.Principal, id.Role == access.Admin:
		return true
	case id.Role == access.Observe && s.o.SameGroup != nil:
		return s.o.SameGroup(id.Principal, principal)
	}
	return false
}

// permit returns the error of a request with a session of a principal that is visible to the
// caller.
func permit(id access.Identity, principal string, what permission) *rpc.Error {
	switch {
	case what == mayRead:
		return nil
	case id.Role == access.Observe:
		return rpc.Forbidden(ruleObserve, "method")
	case principal != id.Principal && what != mayEnd:
		return rpc.Forbidden(ruleAdmin, "method")
	}
	return nil
}

// passive reports whether a caller only watches a session: it neither makes it wait, nor keeps it
// alive, nor ends it by its disconnect.
func passive(id access.Identity, s *session.Session) bool {
	return id.Role == access.Observe || s.Spec().Owner != id.Principal
}

// name returns the session_id of a session on this connection: its id, or PRINCIPAL/ID if it is a
// session of another principal.
func (c *conn) name(s *session.Session) string {
	return c.nameOf(s.Spec().Owner, s.ID())
}

// named is a session as a connection names it.
type named struct {
	name      string // see conn.name
	principal string
}

func (c *conn) named(s *session.Session) named { return named{c.name(s), s.Spec().Owner} }

func (c *conn) nameOf(principal, id string) string {
	if principal == c.principal {
		return id
	}
	return principal + "/" + id
}

// hold keeps a session alive until release is called, unless the caller only watches it.
func (c *conn) hold(s *session.Session) (release func()) {
	if passive(c.identity(), s) {
		return func() {}
	}
	return s.Hold()
}

// mayStillRead returns the error of a request that has found a session if that is not visible to the
// caller any more: its role or its group is another one since.
func (c *conn) mayStillRead(s *session.Session) error {
	if !c.server.visible(c.identity(), s.Spec().Owner) {
		return rpc.SessionNotFound(c.name(s))
	}
	return nil
}

// find returns the session that a request names, if it is visible to the caller and the caller may
// do that with it. If name is "", it returns the only session of the connection that has not ended;
// if there are none or several, it returns an error.
func (c *conn) find(name string, what permission) (*session.Session, error) {
	caller := c.identity()
	s, err := c.lookUp(caller, name)
	if err != nil {
		return nil, err
	}
	if bad := permit(caller, s.Spec().Owner, what); bad != nil {
		return nil, bad
	}
	c.server.reached(checkpointFound)
	return s, nil
}

func (c *conn) lookUp(caller access.Identity, name string) (*session.Session, error) {
	if name == "" {
		return c.onlySession()
	}
	ref, bad := c.parseReference(name)
	if bad != nil {
		return nil, bad
	}
	if !c.server.visible(caller, ref.principal) {
		return nil, rpc.SessionNotFound(name)
	}
	s, err := c.server.findReferenced(ref)
	if err != nil {
		e, _ := rpcError(err, name)
		return nil, e
	}
	return s, nil
}

// onlySession returns the only session of the connection that has not ended.
func (c *conn) onlySession() (one *session.Session, err error) {
	var attached []*session.Session
	c.update(func(st *connStatus) {
		for _, sub := range st.subscriptions {
			attached = append(attached, sub.session)
		}
	})
	for _, s := range attached {
		if s.View().State == session.Ended {
			continue
		}
		if one != nil {
			return nil, rpc.InvalidParams("session_id", "session_id is required: this connection has several running sessions")
		}
		one = s
	}
	if one == nil {
		return nil, rpc.SessionNotFound("")
	}
	return one, nil
}
