package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// Reason is the rule by which a destination is refused.
type Reason string

// The reasons.
const (
	// NotListed: no entry of Options.Allow permits the host and port.
	NotListed Reason = "not_listed"
	// NotPublic: the name is listed, but no address of it is public or listed itself.
	NotPublic Reason = "not_public"
	// ServerName: the server name of a TLS handshake is not listed, or the handshake cannot be
	// parsed.
	ServerName Reason = "server_name"
)

// refusal is the error about a target that is not permitted. Its text goes to the command, which
// must not learn by it what a name resolves to.
type refusal struct {
	target target
	reason Reason
	addr   netip.Addr // that is not public
}

func (e *refusal) Error() string {
	if e.reason == NotPublic {
		return e.target.String() + " has no public address, and its address is not in network.allow of the sandbox"
	}
	return e.target.String() + " is not in network.allow of the sandbox"
}

// failure is the error about a permitted target that cannot be connected to. Its text goes to the
// command, so it has no address of the server or of its resolver.
type failure struct {
	target target
	cause  failureCause
}

func (e *failure) Error() string { return e.target.String() + ": " + failureTexts[e.cause] }

type failureCause int

const (
	cannotConnect failureCause = iota
	connectionRefused
	networkUnreachable
	hostUnreachable
	connectionTimeout
	noSuchHost
	resolverFailed
	resolverTimeout
	connectionLost
	invalidResponse
)

var failureTexts = [...]string{
	cannotConnect:      "cannot connect",
	connectionRefused:  "connection refused",
	networkUnreachable: "network is unreachable",
	hostUnreachable:    "no route to host",
	connectionTimeout:  "connection timed out",
	noSuchHost:         "no such host",
	resolverFailed:     "cannot resolve the name",
	resolverTimeout:    "resolving the name timed out",
	connectionLost:     "the connection was lost before the response",
	invalidResponse:    "invalid response",
}

// lookupCause returns what an error of the resolver means.
func lookupCause(err error) failureCause {
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &dns) && dns.IsTimeout:
		return resolverTimeout
	case errors.As(err, &dns) && dns.IsNotFound:
		return noSuchHost
	}
	return resolverFailed
}

// connectCause returns what an error of connect(2) means.
func connectCause(err error) failureCause {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return connectionRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return networkUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH):
		return hostUnreachable
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return connectionTimeout
	}
	return cannotConnect
}
