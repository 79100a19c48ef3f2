package server

import (
	"github.com/runnel-rpc/runnel/rpc"
)

// attach replays a session's log to the connection from where it asks, and follows it. Sent alone, its reply
// comes before the events.
func attach(r *request) answer {
	var p rpc.AttachParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	if v := s.View(); v.Record != nil && p.AfterSeq >= v.Record.Seq {
		r.conn.detach(s.ID()) // nothing will ever follow
		return result(attached(s), nil)
	}
	o := attachOptions{stream: true, drop: p.SlowClient == rpc.SlowClientDrop, after: p.AfterSeq, move: true}
	if p.Window != nil {
		o.window = *p.Window
	}
	l, _ := r.conn.attach(s, o)
	if p.Take {
		l.att.Take()
	}
	r.then(true, l.begin)
	return result(attached(s), nil)
}

func attached(s Session) rpc.AttachResult {
	v := s.View()
	return rpc.AttachResult{SessionID: s.ID(), State: v.State.String(), OldestSeq: v.Oldest, LastSeq: v.Last}
}

// ack opens the window of an attached session, also of one that is not kept any more: what the connection has
// not got of it yet is. For one that has no window it does nothing.
func ack(r *request) answer {
	var p rpc.AckParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	id, bad := sessionID(p.SessionID)
	if bad != nil {
		return result(nil, bad)
	}
	if l := r.conn.lane(id); l != nil {
		l.att.Ack(p.Seq)
		return result(nil, nil)
	}
	_, err := r.conn.find(p.SessionID)
	return result(nil, err)
}

// detach lets the connection get no more of a session.
func detach(r *request) answer {
	var p rpc.SessionParams
	if err := r.decode(&p); err != nil {
		return result(nil, err)
	}
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	r.conn.detach(s.ID())
	return result(rpc.DetachResult{}, nil)
}
