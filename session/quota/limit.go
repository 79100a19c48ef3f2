package quota

import (
	"fmt"
	"time"
)

// Scope says whose bound is reached.
type Scope string

// The scopes.
const (
	Server    Scope = "server"    // that of all owners together
	Principal Scope = "principal" // that of the owner
	InGroup   Scope = "group"     // that of the owner's group
)

// LimitError means that a bound is reached.
type LimitError struct {
	Scope Scope
	Limit int
	// Used is how many of them are in use, -1 if that would tell an owner about others.
	Used int
}

func (e *LimitError) Error() string {
	if e.Used < 0 {
		return fmt.Sprintf("the limit of the %s is reached: %d", e.Scope, e.Limit)
	}
	return fmt.Sprintf("the limit of the %s is reached: %d of %d", e.Scope, e.Used, e.Limit)
}

// RateError means that too many sessions have begun within a second.
type RateError struct {
	Scope      Scope
	PerSecond  float64
	RetryAfter time.Duration // after which a start may be possible
}

func (e *RateError) Error() string {
	return fmt.Sprintf("the limit of the %s is reached: %g starts per second", e.Scope, e.PerSecond)
}
