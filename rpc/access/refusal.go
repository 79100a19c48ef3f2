package access

import "fmt"

// Refusal is the error of an HTTP request that is refused.
type Refusal struct {
	Status int    // the HTTP status
	Reason string // one of a few texts: the log counts refusals by it
}

func (e *Refusal) Error() string { return fmt.Sprintf("%s (%d)", e.Reason, e.Status) }
