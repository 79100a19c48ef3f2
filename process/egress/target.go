package egress

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// target is what a client asks for: a name and port, or an address and port.
type target struct {
	host string     // a name in lower case without a dot at its end, or an address
	port uint16     // not 0
	addr netip.Addr // valid if host is an address
}

var (
	errHost = errors.New("not the name or the address of a host")
	errPort = errors.New("not a port")
)

// newTarget checks what a client sent. Names are ASCII: what is to be converted from other
// characters (IDNA) is converted by the client. Names that can be in no list, such as 127.1, are
// targets all the same, and refused as not listed.
func newTarget(host string, port uint16) (target, error) {
	if port == 0 {
		return target{}, errPort
	}
	host = strings.TrimSuffix(host, ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return target{}, errHost
		}
		addr = addr.Unmap()
		return target{host: addr.String(), port: port, addr: addr}, nil
	}
	name := strings.ToLower(host)
	if len(name) > sandbox.MaxHost || slices.Contains(strings.Split(name, "."), "") {
		return target{}, errHost
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return target{}, errHost
		}
	}
	return target{host: name, port: port}, nil
}

// parseTarget parses host:port, with an IPv6 address in brackets. Without a port it has the given
// one, unless that is 0.
func parseTarget(text string, port uint16) (target, error) {
	host, digits := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, digits = text[:i], text[i+1:]
	}
	inner, bracket := strings.CutPrefix(host, "[")
	if bracket {
		if host, bracket = strings.CutSuffix(inner, "]"); !bracket || !strings.Contains(host, ":") {
			return target{}, errHost
		}
	} else if strings.Contains(host, ":") {
		return target{}, errHost
	}
	if digits != "" {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return target{}, errPort
		}
		port = uint16(n)
	}
	return newTarget(host, port)
}

// String returns host:port.
func (t target) String() string {
	return net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
}

// allowList is what a command may connect to.
type allowList []sandbox.Destination

// permits reports whether a host and port are listed: a name by itself or by a pattern, an address
// by itself.
func (l allowList) permits(host string, port uint16) bool {
	for _, d := range l {
		if d.Matches(host, port) {
			return true
		}
	}
	return false
}

// permitsAddress reports whether a connection to an address is permitted that a listed name has.
func (l allowList) permitsAddress(addr netip.Addr, port uint16) bool {
	return public(addr) || l.permits(addr.Unmap().String(), port)
}
