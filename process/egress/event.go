package egress

import "net/netip"

// Event is about one destination that a command has used or tried: a host, a port, and the address
// or the reason for which it was refused.
type Event struct {
	Host string
	Port uint16
	// Address is what was connected to; with reason NotPublic, the first such address, of which
	// there may be others; and the address of the tunnel with ServerName. It is invalid if there is
	// none.
	Address netip.Addr
	// Reason is the rule by which the destination was refused, or empty if it was permitted.
	Reason Reason
	// Count is the number of connections, or of attempts that were refused. Requests over a
	// connection that is used again are not counted.
	Count int64
	// Failed is how many of Count could not be connected although the destination is permitted.
	Failed int64
	// Up and Down are the bytes that were sent to the destination, and received from it, over the
	// connections that have ended.
	Up, Down int64
	// Final is set in the last event about a destination, whose numbers are complete.
	Final bool
}

// Allowed reports whether the destination was permitted.
func (e Event) Allowed() bool { return e.Reason == "" }

// Report is what a proxy has done so far.
type Report struct {
	// Allowed and Refused are the destinations in the order of their first use, at most 256 and 64.
	Allowed, Refused []Event
	// MoreAllowed and MoreRefused are the numbers of connections to, and refused attempts at,
	// further destinations.
	MoreAllowed, MoreRefused int64
	// Up and Down are the bytes of all connections that have ended.
	Up, Down int64
	// Excess is the number of connections from the command that were refused because it had 64, or
	// Options.Budget had no room.
	Excess int64
}
