package codex

import (
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
)

// networkProxy is a proxy that the server is to start for a command, with the domains that it permits. Here
// that is the proxy of the sandbox of an execute.
type networkProxy struct {
	Proxy struct {
		Enabled bool              `json:"enabled"`
		Mode    string            `json:"mode"`    // proxyFull, or limited to some methods of HTTP
		Domains map[string]string `json:"domains"` // domainAllow, or anything else, by the pattern of the domain
	} `json:"proxy"`
}

const (
	proxyFull   = "full"
	domainAllow = "allow"
)

// managed returns the sandbox of a command whose network is managed by a proxy, box being its sandbox by
// itself. What cannot be enforced is an error.
func (q *startParams) managed(box *rpc.Sandbox) (*rpc.Sandbox, error) {
	proxied := q.NetworkProxy != nil && q.NetworkProxy.Proxy.Enabled
	switch {
	case given(q.ManagedNetwork):
		return nil, errSandbox("a managed network with a proxy of the client is not supported")
	case !proxied && q.EnforceManagedNetwork:
		return nil, errSandbox("a managed network without networkProxy is not supported")
	case !proxied:
		return box, nil
	case box == nil:
		return nil, errSandbox("a networkProxy needs a sandbox")
	}
	list, err := q.NetworkProxy.destinations()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || box.Network.Mode == rpc.NetworkNone && !q.EnforceManagedNetwork {
		box.Network = rpc.SandboxNetwork{Mode: rpc.NetworkNone}
		return box, nil
	}
	box.Network = rpc.SandboxNetwork{Mode: rpc.NetworkAllow}
	for _, d := range list {
		box.Network.Allow = append(box.Network.Allow, d.String())
	}
	return box, nil
}

// destinations returns what the proxy permits, with every port. A domain that is not permitted within one
// that is cannot be expressed.
func (p *networkProxy) destinations() (allowed []sandbox.Destination, err error) {
	if p.Proxy.Mode != proxyFull {
		return nil, errSandbox("a networkProxy of the mode " + clip(p.Proxy.Mode) + " is not supported")
	}
	if len(p.Proxy.Domains) > sandbox.MaxDestinations {
		return nil, errSandbox("its networkProxy has too many domains")
	}
	var others []sandbox.Destination
	for pattern, permission := range p.Proxy.Domains {
		list, err := parseDomain(pattern)
		if err != nil {
			return nil, err
		}
		if permission == domainAllow {
			allowed = append(allowed, list...)
		} else {
			others = append(others, list...)
		}
	}
	for _, other := range others {
		if slices.ContainsFunc(allowed, func(d sandbox.Destination) bool { return overlap(d.Host, other.Host) }) {
			return nil, errSandbox("its networkProxy permits a domain except for " + clip(other.Host))
		}
	}
	if len(allowed) > sandbox.MaxDestinations {
		return nil, errSandbox("its networkProxy has too many domains")
	}
	slices.SortFunc(allowed, func(a, b sandbox.Destination) int { return strings.Compare(a.Host, b.Host) })
	return slices.Compact(allowed), nil
}

// parseDomain returns the destinations of a pattern: a name or an address, "*." and a name for the names
// below it, "**." and a name for that, too.
func parseDomain(pattern string) ([]sandbox.Destination, error) {
	hosts := []string{pattern}
	if name, ok := strings.CutPrefix(pattern, "**."); ok {
		hosts = []string{name, "*." + name}
	}
	var list []sandbox.Destination
	for _, host := range hosts {
		if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
			host = "[" + host + "]"
		}
		d, err := sandbox.ParseDestination(host + ":*")
		if err != nil {
			return nil, errSandbox("the domain " + clip(pattern) + " of its networkProxy is not supported")
		}
		list = append(list, d)
	}
	return list, nil
}

// overlap reports whether two hosts, which may be patterns, have a name in common.
func overlap(a, b string) bool {
	covers := func(pattern, host string) bool {
		suffix, wildcard := strings.CutPrefix(pattern, "*")
		return pattern == host || wildcard && strings.HasSuffix(host, suffix)
	}
	return covers(a, b) || covers(b, a)
}
