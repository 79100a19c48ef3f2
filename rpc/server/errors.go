package server

import (
	"context"
	"errors"

	"github.com/sourcegraph/jsonrpc2"
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/quota"
)

// errCanceled is the cause of a request's context that the client has canceled.
var errCanceled = errors.New("canceled by the client")

// retryAfter is after how many seconds a client should retry when a limit was reached.
const retryAfter = 1

// rpcError converts an error to that of the protocol. ok is false if the error is unknown: e is an
// internal error then, which has no details, and the caller logs err.
func rpcError(err error, sessionID string) (e *rpc.Error, ok bool) {
	var (
		limit *quota.LimitError
		rate  *quota.RateError
		named *session.NameError
		state *session.StateError
		alive *session.NotEndedError
		stdin *session.StdinError
		place *session.OffsetError
		spawn *process.SpawnError
		boxed *process.SandboxError
		bound *process.LimitError
		perm  *process.NotPermittedError
		attr  *process.AttributeError
		other *jsonrpc2.Error
	)
	if e, ok := sandboxError(err); ok {
		return e, true
	}
	switch {
	case errors.As(err, &e):
		return e, true
	case errors.As(err, &other):
		return routedError(other), true
	case errors.Is(err, session.ErrNotFound):
		return rpc.SessionNotFound(sessionID), true
	case errors.Is(err, session.ErrUnavailable):
		return rpc.SpoolUnavailable(retryAfter), true
	case errors.Is(err, session.ErrNoRecording):
		return rpc.NotRecorded(), true
	case errors.Is(err, session.ErrExists):
		return rpc.SessionExists(sessionID), true
	case errors.As(err, &named):
		return rpc.NameInUse(named.Name, named.ID), true
	case errors.Is(err, session.ErrShuttingDown):
		return rpc.ShuttingDown(), true
	case errors.As(err, &limit):
		return rpc.SessionLimit(string(limit.Scope), limit.Limit, limit.Used, retryAfter), true
	case errors.As(err, &rate):
		return rpc.StartRate(string(rate.Scope), rate.PerSecond, rate.RetryAfter.Seconds()), true
	case errors.As(err, &state):
		return rpc.NotRunning(state.State.String()), true
	case errors.As(err, &alive):
		return rpc.NotEnded(alive.State.String()), true
	case errors.Is(err, session.ErrLeaderExited):
		return rpc.CommandExited(), true
	case errors.As(err, &perm):
		return rpc.NotPermitted(perm.PIDs), true
	case errors.As(err, &stdin):
		return rpc.StdinClosed(stdin.Why), true
	case errors.As(err, &place):
		return rpc.InvalidParams("offset", "%v", place), true
	case errors.As(err, &spawn) && spawn.Op == "user":
		return rpc.SpawnFailed(spawn.Path, unix.ErrnoName(spawn.Errno), "the server cannot run it as this user: "+spawn.Errno.Error()), true
	case errors.As(err, &boxed):
		return sandboxFailed(boxed), true
	case errors.As(err, &spawn) && spawn.Op == "sandbox":
		return rpc.SpawnFailed(spawn.Path, unix.ErrnoName(spawn.Errno), "it is not visible in the sandbox"), true
	case errors.As(err, &spawn):
		return rpc.SpawnFailed(spawn.Path, unix.ErrnoName(spawn.Errno), spawn.Errno.Error()), true
	case errors.As(err, &bound) && bound.Most < 0:
		return rpc.NotEnforceable("limits."+string(bound.Limit), ""), true
	case errors.As(err, &bound):
		return rpc.OverCeiling(string(bound.Limit), bound.Most), true
	case errors.As(err, &attr):
		return rpc.InvalidParams(attr.Attribute, "%s can't be set: %v", attr.Attribute, attr.Errno), true
	case errors.Is(err, errCanceled), errors.Is(err, session.ErrCanceled), errors.Is(err, context.Canceled):
		return rpc.RequestCanceled(), true
	}
	return rpc.Internal(), false
}

// routedError converts the error of a server to which a request was routed.
func routedError(e *jsonrpc2.Error) *rpc.Error {
	routed := &rpc.Error{Code: int(e.Code), Message: e.Message}
	if e.Data != nil {
		routed.Data = *e.Data
	}
	return routed
}
