package access

import "fmt"

// Refusal is the error of an HTTP request that is refused.
type Refusal struct {
	Status int    // the HTTP status
	Reason string // one of a few texts: the log counts refusals by it
	// Detail is for the log only, never for the caller: one of a few texts, or "".
	Detail string
}

func (e *Refusal) Error() string { return fmt.Sprintf("%s (%d)", e.Reason, e.Status) }
