package auth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Proxies are the proxies whose word about the address of a client counts, for the log, the audit
// log and the rate of failures. It never counts for who a caller is.
type Proxies struct {
	Addresses []netip.Prefix
	Unix      bool // also the processes at a Unix socket for proxies
}

// maxHops is how many proxies of a request are looked at.
const maxHops = 32

// Client returns the address of the client of a request that comes from one of these proxies: the
// last address of Forwarded (RFC 7239) or X-Forwarded-For that is not that of such a proxy. It
// returns false if the request does not come from one of them, if neither header has a valid
// address there, or if they contradict each other: a client can send the one that the proxy does
// not set.
func (p *Proxies) Client(r *http.Request) (netip.Addr, bool) {
	if p == nil || !p.isProxy(r) {
		return netip.Addr{}, false
	}
	forwarded, hasForwarded := p.client(forwardedFor(r.Header.Values("Forwarded")), nodeAddress)
	xff, hasXFF := p.client(splitList(r.Header.Values("X-Forwarded-For")), listedAddress)
	switch {
	case !hasXFF || hasForwarded && forwarded == xff:
		return forwarded, forwarded.IsValid()
	case !hasForwarded:
		return xff, xff.IsValid()
	}
	return netip.Addr{}, false
}

func (p *Proxies) isProxy(r *http.Request) bool {
	if peer := access.PeerOf(r.Context()); peer.Unix {
		return p.Unix && peer.Proxy
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.trusted(at.Addr())
}

func (p *Proxies) trusted(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p.Addresses, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// client returns the last of the hops that is not a proxy; an invalid address if that hop has none.
// present is false if there are no hops.
func (p *Proxies) client(hops []string, parse func(string) netip.Addr) (client netip.Addr, present bool) {
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		if client = parse(hops[i]); !client.IsValid() || !p.trusted(client) {
			return client, true
		}
	}
	return client, len(hops) > 0
}

// splitList splits a header that is a list (RFC 9110 §5.6.1).
func splitList(lines []string) (all []string) {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			all = append(all, strings.Trim(element, " \t"))
		}
	}
	return all
}

// listedAddress parses an element of X-Forwarded-For, which may have a port.
func listedAddress(text string) netip.Addr {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap().WithZone("")
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// forwardedFor returns the for parameter of each element of Forwarded (RFC 7239 §4), "" if an
// element has none or is not valid.
func forwardedFor(lines []string) (all []string) {
	for _, line := range lines {
		for more := true; more; {
			var node string
			node, line, more = forwardedElement(line)
			all = append(all, node)
		}
	}
	return all
}

// forwardedElement parses one element of Forwarded: pairs, separated by semicolons, up to a comma.
func forwardedElement(text string) (node, rest string, more bool) {
	valid := true
	for {
		var name, value string
		var found bool
		if i := strings.IndexAny(text, "=,;"); i >= 0 && text[i] == '=' {
			name, text = strings.Trim(text[:i], " \t"), text[i+1:]
			value, text, found = forwardedValue(text)
			if strings.EqualFold(name, "for") {
				if node != "" {
					valid = false // RFC 7239 §4: each parameter once
				}
				node = value
			}
			valid = valid && found
		}
		i := strings.IndexAny(text, ",;")
		if i < 0 {
			i = len(text)
		}
		valid = valid && strings.Trim(text[:i], " \t") == ""
		if i == len(text) || text[i] == ',' {
			if !valid {
				node = ""
			}
			return node, text[min(i+1, len(text)):], i < len(text)
		}
		text = text[i+1:]
	}
}

// forwardedValue parses a token or a quoted string (RFC 9110 §5.6).
func forwardedValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		i := strings.IndexAny(text, ",; \t")
		if i < 0 {
			i = len(text)
		}
		return text[:i], text[i:], i > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			i++
			if i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// nodeAddress parses a node (RFC 7239 §6): an IPv4 address or an IPv6 address in brackets, and
// perhaps a port. "unknown" and names that hide an address have none.
func nodeAddress(node string) netip.Addr {
	host := node
	if strings.HasPrefix(node, "[") {
		end := strings.IndexByte(node, ']')
		if end < 0 || len(node) > end+1 && node[end+1] != ':' {
			return netip.Addr{}
		}
		host = node[1:end]
	} else if i := strings.IndexByte(node, ':'); i >= 0 {
		host = node[:i]
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is6() != strings.HasPrefix(node, "[") {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
