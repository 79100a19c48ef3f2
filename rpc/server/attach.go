package server

import (
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/stream"
)

// attach sends the events of a session's log after a position to the connection, and then those
// that follow. The reply to a request that is not in a batch is ahead of the events.
func attach(r *request, p *rpc.AttachParams) answer {
	c := r.conn
	s, watches, err := c.findToAttach(p)
	r.conn.auditAttach(s, p.SessionID, auditedAttach(p.Take), err)
	if err != nil {
		return result(nil, err)
	}
	p.AfterSeq = afterSince(s, p.AfterSeq, p.Since)
	v := s.View()
	if err := mayReadSpool(p.SlowClient, &v); err != nil {
		return result(nil, err)
	}
	if p.Screen {
		return attachScreen(r, s, p, watches)
	}
	if v.Record != nil && p.AfterSeq >= v.Record.Seq {
		if p.Take {
			takeEnded(s)
		}
		if sub := c.subscription(s); sub != nil {
			c.detach(sub) // no event will follow
		}
		return result(c.attached(s), nil)
	}
	sub, err := c.attach(s, p, p.AfterSeq, watches)
	if err != nil {
		return result(nil, err)
	}
	r.afterReply(true, sub.activate)
	return result(c.attached(s), nil)
}

// attach subscribes the connection as the params of an attach say. The caller activates the subscription.
func (c *conn) attach(s *session.Session, p *rpc.AttachParams, after int64, watches bool) (*subscription, error) {
	o := attachedAs(p.SlowClient, p.Window)
	o.stream, o.after, o.move = true, after, true
	if watches {
		o.passive, o.drop = true, true
	}
	sub, _ := c.subscribe(s, o)
	if err := c.mayStillRead(s); err != nil { // see reauthenticate, which knows subscriptions only
		c.detach(sub)
		return nil, err
	}
	if p.Take {
		sub.att.Take()
	}
	return sub, nil
}

// findToAttach returns the session of an attach, and whether its caller only watches it.
func (c *conn) findToAttach(p *rpc.AttachParams) (s *session.Session, watches bool, err error) {
	if s, err = c.find(p.SessionID, mayRead); err != nil {
		return nil, false, err
	}
	watches = passive(c.identity(), s)
	if bad := mayWatch(watches, p); bad != nil {
		return s, watches, bad
	}
	if bad := checkScreen(s, p); bad != nil {
		return s, watches, bad
	}
	if bad := c.mayAttach(c.name(s)); bad != nil {
		return s, watches, bad
	}
	return s, watches, nil
}

// mayWatch returns the error of an attach that does more than its caller may, who only watches the
// session.
func mayWatch(watches bool, p *rpc.AttachParams) *rpc.Error {
	switch {
	case watches && p.Take:
		return rpc.Forbidden(ruleWatch, "take")
	case watches && p.SlowClient == rpc.SlowClientBlock:
		return rpc.Forbidden(ruleWatch, "slow_client")
	case watches && (p.Rows != 0 || p.Cols != 0):
		return rpc.Forbidden(ruleWatch, "rows")
	}
	return nil
}

// takeEnded detaches all connections from a session that has ended, without an attachment for this
// one.
func takeEnded(s *session.Session) {
	a := s.Attach(session.AttachOptions{Cursor: stream.CursorOptions{EventsOnly: true, Ready: func() {}}})
	a.Take()
	a.Detach()
}

func (c *conn) attached(s *session.Session) rpc.AttachResult {
	v := s.View()
	return rpc.AttachResult{SessionID: c.name(s), State: v.State.String(), OldestSeq: v.Oldest, LastSeq: v.Last}
}

// ack opens the window of an attached session, which need not be retained any more. For a session
// that is not attached it does nothing.
func ack(r *request, p *rpc.AckParams) answer {
	sub, err := r.attachedTo(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	if sub != nil {
		sub.att.Ack(p.Seq)
	}
	return result(nil, nil)
}

// detach ends the events of a session on the connection.
func detach(r *request, p *rpc.SessionParams) answer {
	sub, err := r.attachedTo(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	if sub != nil {
		r.conn.detach(sub)
	}
	return result(rpc.DetachResult{}, nil)
}

// attachedTo returns the connection's subscription of a session, or nil if the connection is not
// attached. It fails if the session does not exist.
func (r *request) attachedTo(name string) (sub *subscription, err error) {
	ref, bad := r.conn.parseReference(name)
	if bad != nil {
		return nil, bad
	}
	if sub = r.conn.attachedTo(ref); sub == nil {
		_, err = r.find(name)
	}
	return sub, err
}
