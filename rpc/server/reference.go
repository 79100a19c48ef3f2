package server

import (
	"strings"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// reference is what the session_id of a request refers to: a session of a principal, by its id or its
// name.
type reference struct {
	principal string
	id        string // canonical; "" if there is a name
	name      string // "" if there is an id
}

// parseReference parses the session_id of a request: ID, NAME, PRINCIPAL/ID or PRINCIPAL/NAME.
func (c *conn) parseReference(text string) (reference, *rpc.Error) {
	ref := reference{principal: c.principal}
	if before, after, ok := strings.Cut(text, "/"); ok {
		if access.ValidPrincipal(before) != nil {
			return ref, notReference()
		}
		ref.principal, text = before, after
	}
	switch id, ok := canonicalID(text); {
	case ok:
		ref.id = id
	case rpc.ValidName(text):
		ref.name = text
	default:
		return ref, notReference()
	}
	return ref, nil
}

func notReference() *rpc.Error {
	return rpc.InvalidParams("session_id", "session_id must be a UUID or a name, or PRINCIPAL/ and one of these")
}

// canonicalID returns the spelling of an id that the server uses. ok is false if the text is not one.
func canonicalID(text string) (id string, ok bool) {
	u, err := uuid.Parse(text)
	if err != nil {
		return "", false
	}
	id = u.String()
	return id, len(text) == len(id) // Parse accepts other forms too
}

// findReferenced returns the session that is referred to, or session.ErrNotFound.
func (s *Server) findReferenced(ref reference) (*session.Session, error) {
	if ref.name != "" {
		return s.sessions.FindNamed(ref.principal, ref.name)
	}
	return s.sessions.Find(ref.principal, ref.id)
}

// attachedTo returns the connection's subscription of the session that is referred to, or nil. The
// session need not be retained any more.
func (c *conn) attachedTo(ref reference) (sub *subscription) {
	if ref.name == "" {
		c.update(func(st *connStatus) { sub = st.subscriptions[c.nameOf(ref.principal, ref.id)] })
		return sub
	}
	if s, err := c.server.findReferenced(ref); err == nil {
		return c.subscription(s)
	}
	c.update(func(st *connStatus) {
		for _, x := range st.subscriptions {
			spec := x.session.Spec()
			if spec.Owner == ref.principal && spec.Name == ref.name && (sub == nil || sub.session.Created() < x.session.Created()) {
				sub = x
			}
		}
	})
	return sub
}
