package sandbox

import "slices"

// The values of each field, the least first.
var (
	accesses     = []Access{None, Read, Write}
	modes        = []Mode{NoNetwork, AllowList, FullNetwork}
	processScope = []Scope{Own, Shared}
	tmpScope     = []Scope{Private, Shared}
	unixSockets  = []UnixSockets{NoUnixSockets, FullUnixSockets}
	metadata     = []Metadata{WritableMetadata, FullMetadata}
)

// exceeds reports whether a comes after b.
func exceeds[T comparable](order []T, a, b T) bool {
	return slices.Index(order, a) > slices.Index(order, b)
}

// least returns the one of a and b that comes first.
func least[T comparable](order []T, a, b T) T {
	if exceeds(order, a, b) {
		return b
	}
	return a
}
