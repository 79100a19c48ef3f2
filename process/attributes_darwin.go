package process

import "syscall"

// Settable are the names of the attributes that a command can be given here: none, since nothing stops a child before its
// first instruction.
var Settable []string

// MinNice is the lowest nice value that this process may give to a command, of no meaning where none can be given.
func MinNice() int { return 0 }

// unsettable is the error for attributes.
func (a *Attributes) unsettable() error {
	switch {
	case a.Umask != nil:
		return &AttributeError{UmaskAttribute, syscall.ENOTSUP}
	case a.Nice != nil:
		return &AttributeError{NiceAttribute, syscall.ENOTSUP}
	case len(a.Soft) > 0:
		return &AttributeError{SoftAttribute, syscall.ENOTSUP}
	}
	return nil
}
