package access

import "fmt"

// Role is what a caller may do with sessions, apart from what a policy permits.
type Role uint8

// The roles. The zero value is Run.
const (
	// Run starts sessions, and does anything with those of its principal.
	Run Role = iota
	// Observe reads the sessions of its principal and of its principal's groups. It never makes
	// them wait, keeps them alive, or changes them.
	Observe
	// Admin is Run, and also reads and ends the sessions of all principals.
	Admin
)

var roleNames = [...]string{Run: "run", Observe: "observe", Admin: "admin"}

func (r Role) String() string { return roleNames[r] }

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. The empty text is Run.
func (r *Role) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Run
		return nil
	}
	for role, name := range roleNames {
		if name == string(text) {
			*r = Role(role)
			return nil
		}
	}
	return fmt.Errorf("unknown role %q: it must be run, observe or admin", text)
}

// MayStart reports whether the role may start sessions.
func (r Role) MayStart() bool { return r != Observe }

// AtMost returns the role with which a caller acts that has the role r, and that a caller with the
// role limit has started: it may do only what both may.
func (r Role) AtMost(limit Role) Role {
	switch {
	case r == Observe || limit == Observe:
		return Observe
	case r == Run || limit == Run:
		return Run
	}
	return Admin
}
