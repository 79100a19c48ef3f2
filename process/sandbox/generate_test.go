package sandbox

import (
	"math/rand/v2"
	"slices"
)

// names are few, so that random paths are often below each other.
var names = []string{"a", "b", "ab", "c"}

func randomPath(r *rand.Rand) string {
	p := ""
	for range r.IntN(4) {
		p += "/" + names[r.IntN(len(names))]
	}
	if p == "" {
		return "/"
	}
	return p
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomDestination(r *rand.Rand) Destination {
	return Destination{
		pick(r, "a.org", "b.a.org", "*.a.org", "*.b.a.org", "c.b.a.org", "*.org", "192.0.2.1", "2001:db8::1"),
		pick(r, uint16(0), 80, 443),
	}
}

// randomConfig returns a valid Config.
func randomConfig(r *rand.Rand) *Config {
	c := &Config{
		FilesDefault: pick(r, None, Read),
		Network:      Network{Mode: pick(r, modes...)},
		Processes:    pick(r, Own, Shared),
		Tmp:          pick(r, Private, Shared),
		Devices:      MinimalDevices,
		UnixSockets:  pick(r, NoUnixSockets, FullUnixSockets),
		Metadata:     pick(r, WritableMetadata, FullMetadata),
	}
	for range r.IntN(6) {
		rule := Rule{randomPath(r), pick(r, accesses...), pick(r, Skip, Skip, Create, Refuse)}
		if !slices.Contains(paths(c.Files), rule.Path) {
			c.Files = append(c.Files, rule)
		}
	}
	for range r.IntN(2) {
		c.Hidden = append(c.Hidden, randomPath(r))
	}
	if c.Network.Mode == AllowList {
		for range r.IntN(6) {
			c.Network.Allow = append(c.Network.Allow, randomDestination(r))
		}
	}
	return c
}

// permits reports whether a Config permits a connection.
func (c *Config) permits(host string, port uint16) bool {
	switch c.Network.Mode {
	case FullNetwork:
		return true
	case AllowList:
		return slices.ContainsFunc(c.Network.Allow, func(d Destination) bool { return d.Matches(host, port) })
	}
	return false
}
