package server

import (
	"syscall"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// auditedKind is the event of a line that is merged with others.
type auditedKind uint8

const (
	executeLine auditedKind = iota
	controlLine
	attachLine
	fileLine
	httpLine
	connectionLine
)

// auditedRequest is what a line has that stands for several requests, or connections.
type auditedRequest struct {
	kind       auditedKind
	action     string
	caller     audit.Caller
	session    audit.Session
	path       string // of a file
	signal, to string
	exchange   Exchange   // of HTTP
	closing    closeError // of a connection
	err        audit.Error
}

// repeatKey is what the requests of a principal have in common whose lines are merged. It has nothing
// that a client can choose freely, except the session or the file of a request that was not refused, which exists,
// and the host of one that was not refused.
type repeatKey struct {
	kind   auditedKind
	action string
	peer   refusedPeer
	beyond bool // those for which there is no room

	// Of a request that was refused, or a connection that was closed.
	code int
	rule string // the error's kind, if it has no rule

	// Of another one, or an HTTP request that was attempted.
	credential string
	session    audit.Session
	path       string
	signal     syscall.Signal // however it is spelled
	to         string
	exchange   Exchange

	role access.Role // of those for which there is no room
}

// wholeLines is how many lines of this kind are not merged in each repeatPause.
func (k *repeatKey) wholeLines() int {
	if k.kind == connectionLine && k.action != audit.ActionAuthenticate {
		return connectionLines
	}
	return 1
}

// attempted reports whether it is an HTTP request that has failed and may have been sent: whoever has the other server
// can make it fail, which must not keep its name out of the log.
func (x *auditedRequest) attempted() bool { return x.kind == httpLine && x.err.Kind == kindHTTPFailed }

func (x *auditedRequest) class() repeatClass {
	switch {
	case x.err.Code != 0:
		return ofRefused
	case x.kind == connectionLine || x.kind == fileLine || x.kind == httpLine || x.session.Owner == x.caller.Principal:
		return ofOwn
	}
	return ofOthers
}

// key returns the kind of a request of a peer.
func (x *auditedRequest) key(peer refusedPeer) repeatKey {
	key := repeatKey{kind: x.kind, action: x.action, peer: peer.key(), code: x.err.Code, rule: x.err.Rule}
	if x.err.Code != 0 {
		if key.rule == "" {
			key.rule = x.err.Kind
		}
		if x.attempted() {
			key.credential, key.exchange = x.caller.Credential, x.exchange
		}
		return key
	}
	key.code = closeCode(x.closing.code)
	key.credential, key.session, key.path = x.caller.Credential, x.session, x.path
	key.signal, key.to, key.exchange = process.SignalByName(x.signal), x.to, x.exchange
	return key
}

// closeCode returns a close code, but the same one for all that mean nothing to the server
// (RFC 6455 §7.4.2): there are thousands.
func closeCode(code websocket.StatusCode) int {
	const private = 3000
	if code >= private && code != rpc.CloseUnauthorized {
		return private
	}
	return int(code)
}

// beyond returns the key of requests for which there is no room, and what their line has: of refused
// ones the code and the kind, because without an error it would be that of requests that were accepted.
func (x auditedRequest) beyond() (repeatKey, auditedRequest) {
	x = auditedRequest{
		kind:   x.kind,
		action: x.action,
		caller: audit.Caller{Identity: access.Identity{Principal: x.caller.Principal, Role: x.caller.Role}},
		err:    audit.Error{Code: x.err.Code, Kind: x.err.Kind},
	}
	return repeatKey{beyond: true, kind: x.kind, action: x.action, code: x.err.Code, rule: x.err.Kind, role: x.caller.Role}, x
}

// line returns the line that stands for so many requests.
func (x *auditedRequest) line(count int) audit.Event {
	switch x.kind {
	case executeLine:
		return &audit.Execute{Caller: x.caller, Session: x.session, Error: x.err, Count: count}
	case controlLine:
		return &audit.Control{
			Caller: x.caller, Session: x.session, Action: x.action, Signal: x.signal, To: x.to, Error: x.err, Count: count,
		}
	case fileLine:
		return &audit.File{Caller: x.caller, Action: x.action, Path: x.path, To: x.to, Error: x.err, Count: count}
	case httpLine:
		return &audit.HTTP{
			Caller: x.caller, Method: x.exchange.Method, Host: x.exchange.Host, Port: x.exchange.Port, Status: x.exchange.Status,
			Error: x.err, Count: count,
		}
	case connectionLine:
		return &audit.Connection{
			Caller: x.caller, Action: x.action, Code: int(x.closing.code), Reason: x.closing.reason, Error: x.err, Count: count,
		}
	default:
		return &audit.Attach{Caller: x.caller, Session: x.session, Action: x.action, Error: x.err, Count: count}
	}
}

// merged reports whether the line of a request, or of the connection, is merged with others.
func (c *party) merged(x auditedRequest) bool {
	if x.err.Code != 0 && !x.attempted() { // the client chooses what it names
		x.session, x.path, x.signal, x.to, x.exchange = audit.Session{}, "", "", "", Exchange{}
	}
	return !c.server.audited.merge(x.key(c.from), x)
}
