package egress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"
)

// The protocol SOCKS version 5 (RFC 1928).
const (
	socksVersion  = 5
	socksNoAuth   = 0
	socksNoMethod = 0xff

	socksConnect = 1

	socksIPv4 = 1
	socksName = 3
	socksIPv6 = 4

	socksSucceeded          = 0
	socksFailure            = 1
	socksNotAllowed         = 2
	socksNetworkUnreachable = 3
	socksHostUnreachable    = 4
	socksRefused            = 5
	socksExpired            = 6
	socksNoCommand          = 7
	socksNoAddressType      = 8
)

// socksError is an error of a request that has a reply.
type socksError byte

func (e socksError) Error() string { return "invalid SOCKS request" }

// errMethods means that the client does not offer to go without authentication.
var errMethods = errors.New("no acceptable SOCKS method")

// readSOCKSMethods reads the first message of a client.
func readSOCKSMethods(r io.Reader) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return err
	}
	if head[0] != socksVersion || bytes.IndexByte(methods, socksNoAuth) < 0 {
		return errMethods
	}
	return nil
}

// readSOCKSRequest reads the second message: where to connect to.
func readSOCKSRequest(r io.Reader) (target, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return target{}, err
	}
	if head[0] != socksVersion || head[2] != 0 {
		return target{}, socksError(socksFailure)
	}
	size := 0
	switch head[3] {
	case socksIPv4:
		size = 4
	case socksIPv6:
		size = 16
	case socksName:
		var length [1]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return target{}, err
		}
		size = int(length[0])
	default:
		return target{}, socksError(socksNoAddressType)
	}
	rest := make([]byte, size+2)
	if _, err := io.ReadFull(r, rest); err != nil {
		return target{}, err
	}
	if head[1] != socksConnect {
		return target{}, socksError(socksNoCommand)
	}
	host := string(rest[:size])
	if head[3] != socksName {
		addr, _ := netip.AddrFromSlice(rest[:size])
		host = addr.String()
	}
	t, err := newTarget(host, binary.BigEndian.Uint16(rest[size:]))
	if err != nil {
		return t, socksError(socksFailure)
	}
	return t, nil
}

// serveSOCKS serves a connection whose first byte is that of SOCKS.
func (p *Proxy) serveSOCKS(c *client) {
	if err := readSOCKSMethods(c.r); err != nil {
		if err == errMethods {
			c.Write([]byte{socksVersion, socksNoMethod})
			linger(c.Conn)
		}
		return
	}
	if _, err := c.Write([]byte{socksVersion, socksNoAuth}); err != nil {
		return
	}
	t, err := readSOCKSRequest(c.r)
	var l *link
	if err == nil {
		l, err = p.reach(t)
	}
	if err != nil {
		if code, ok := socksReply(err); ok {
			c.SetWriteDeadline(time.Now().Add(lingerTime))
			c.Write(socksMessage(code))
			linger(c.Conn)
		}
		return
	}
	defer l.end()
	ahead := c.detach()
	if _, err := c.Write(socksMessage(socksSucceeded)); err == nil {
		p.tunnel(c.Conn, ahead, l)
	}
}

// socksMessage is a reply without an address: that of the proxy's connection is of no use to the
// command.
func socksMessage(code byte) []byte {
	return []byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0}
}

// socksReply returns the code of the reply to a request with an error; ok is false if there is
// none.
func socksReply(err error) (code byte, ok bool) {
	var invalid socksError
	var refused *refusal
	var failed *failure
	switch {
	case errors.As(err, &invalid):
		return byte(invalid), true
	case errors.As(err, &refused):
		return socksNotAllowed, true
	case errors.As(err, &failed):
		return failureReplies[failed.cause], true
	}
	return 0, false
}

var failureReplies = [...]byte{
	cannotConnect:      socksFailure,
	connectionRefused:  socksRefused,
	networkUnreachable: socksNetworkUnreachable,
	hostUnreachable:    socksHostUnreachable,
	connectionTimeout:  socksExpired,
	noSuchHost:         socksHostUnreachable,
	resolverFailed:     socksHostUnreachable,
	resolverTimeout:    socksHostUnreachable,
	connectionLost:     socksFailure,
	invalidResponse:    socksFailure,
}
