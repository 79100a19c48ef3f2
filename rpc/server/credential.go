package server

import (
	"cmp"
	"errors"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

const (
	// expiryGrace is how long a connection continues after its credential has expired.
	expiryGrace = time.Minute
	// expiryInterval is the longest time until the expiry is checked again: timers do not count time
	// in which the machine was suspended.
	expiryInterval = time.Minute
	// maxWrongTokens is how many wrong tokens a connection may present to authenticate. One more
	// closes it, so that tokens cannot be guessed, nor the audit log be filled, at a high rate.
	maxWrongTokens = 10
	// revokeTimeout is how long the peer of a connection whose credential is not valid any more has
	// to take the close frame.
	revokeTimeout = 500 * time.Millisecond
)

// renew replaces the credential of the connection by another one of the same principal.
func renew(r *request, p *rpc.AuthenticateParams) answer {
	c := r.conn
	id, err := c.server.o.Auth.AuthenticateToken(p.Token, c.peer)
	if err != nil {
		refusal := &access.Refusal{Reason: "wrong token for authenticate", Detail: refusalDetail(err)}
		c.server.refusals.refuse(c.from, c.remote, refusal)
		if c.wrongTokens++; c.wrongTokens > maxWrongTokens {
			c.closeUnauthorized("too many wrong tokens")
		}
		return r.refuseRenewal(rpc.Forbidden("credential", "token"), refusal.Detail)
	}
	if id.Principal != c.principal {
		return r.refuseRenewal(rpc.Forbidden("principal", "token"), "")
	}
	c.setIdentity(id)
	r.auditRenewal(nil, "")
	c.reauthenticate()
	return result(rpc.AuthenticateResult{
		Principal: id.Principal,
		Role:      id.Role.String(),
		Expires:   expires(id),
	}, nil)
}

// refuseRenewal answers an authenticate that is refused. The client does not get the detail.
func (r *request) refuseRenewal(err *rpc.Error, detail string) answer {
	r.auditRenewal(err, detail)
	return result(nil, err)
}

// refusalDetail returns why a credential is refused: what the log has of it, and the caller does not
// get.
func refusalDetail(err error) string {
	if r, ok := errors.AsType[*access.Refusal](err); ok {
		return cmp.Or(r.Detail, r.Reason)
	}
	return ""
}

// expires returns when a credential expires, in RFC 3339, or "".
func expires(id access.Identity) string {
	if id.Expires.IsZero() {
		return ""
	}
	return id.Expires.UTC().Format(time.RFC3339)
}

// setIdentity sets who the caller is, and sets the timer for the expiry.
func (c *conn) setIdentity(id access.Identity) {
	c.update(func(st *connStatus) {
		st.identity = id
		c.scheduleExpiry(st)
	})
}

func (c *conn) scheduleExpiry(st *connStatus) {
	if st.expiry != nil {
		st.expiry.Stop()
		st.expiry = nil
	}
	if st.identity.Expires.IsZero() || st.phase >= phaseClosing {
		return
	}
	st.expiry = time.AfterFunc(untilExpiryCheck(st.identity), c.checkExpiry)
}

// untilExpiryCheck returns the time until the expiry of a credential, which has one, is checked next.
func untilExpiryCheck(id access.Identity) time.Duration {
	return min(time.Until(id.Expires.Add(expiryGrace)), expiryInterval)
}

// hasExpired reports whether the grace of a credential is over.
func hasExpired(id access.Identity) bool {
	return !id.Expires.IsZero() && !time.Now().Before(id.Expires.Add(expiryGrace))
}

// checkExpiry closes the connection if the grace of its credential is over.
func (c *conn) checkExpiry() {
	expired := false
	c.update(func(st *connStatus) {
		if expired = hasExpired(st.identity); !expired {
			c.scheduleExpiry(st)
		}
	})
	if expired {
		c.closeUnauthorized("the credential has expired")
	}
}

// stopExpiry is called when the connection has ended. No timer is started afterwards.
func (c *conn) stopExpiry() {
	c.update(func(st *connStatus) {
		if st.expiry != nil {
			st.expiry.Stop()
		}
	})
}

// reauthenticate closes the connection if its credential was revoked, and ends the subscriptions of
// sessions that its caller may not read any more, or may only watch from now on.
func (c *conn) reauthenticate() {
	id := c.identity()
	if !c.server.o.Auth.Accepts(id) {
		c.closeUnauthorized("the credential was revoked")
		return
	}
	var all []*subscription
	c.update(func(st *connStatus) {
		for _, sub := range st.subscriptions {
			all = append(all, sub)
		}
	})
	for _, sub := range all {
		if !c.server.visible(id, sub.session.Spec().Owner) || passive(id, sub.session) && !sub.passive {
			c.detach(sub)
		}
	}
}

// closeUnauthorized closes the connection at once: no further request is carried out, and the peer
// has revokeTimeout to take the close frame.
func (c *conn) closeUnauthorized(why string) {
	c.log().Info().Str("why", why).Msg("connection closed")
	c.update(func(st *connStatus) { st.closeFor(rpc.CloseUnauthorized, why) })
	c.outbox.closeWithin(revokeTimeout, closeFrame(rpc.CloseUnauthorized, why))
}

// Reauthenticate closes all connections whose credential is not accepted any more, with the code
// 4401, and ends the sessions of such a credential that are queued, with Options.EndRevoked all of them.
// It is to be called when credentials were revoked, or groups have changed, and does not wait until the
// connections are closed, for which they have half a second.
func (s *Server) Reauthenticate() {
	for _, c := range s.all() {
		c.reauthenticate()
	}
	for _, c := range s.allCallers() {
		c.reauthenticate()
	}
	s.sessions.EndWhere(s.endsRevoked)
}

// endsRevoked reports whether a session is to end because its credential was revoked. A queued session
// is, whatever the options, since a revoked credential must not start anything.
func (s *Server) endsRevoked(x *session.Session) bool {
	return (s.o.EndRevoked || x.Waits() && x.View().State == session.Queued) && s.revoked(x.Spec())
}

// revoked reports whether a session was started with a credential that is not accepted any more.
func (s *Server) revoked(spec *session.Spec) bool {
	return !s.o.Auth.Accepts(access.Identity{Principal: spec.Owner, Role: spec.Role, Credential: spec.Credential})
}
