package process

import "syscall"

// SettableAttributes are the names of the attributes that can be set: none, since Darwin cannot
// stop a child before its first instruction.
var SettableAttributes []string

// MinNice is 0: nice values cannot be set.
func MinNice() int { return 0 }

// unsettable returns the error for the first attribute that is to be changed.
func (a *Attributes) unsettable() error {
	switch {
	case a.Umask != nil:
		return &AttributeError{UmaskAttribute, syscall.ENOTSUP}
	case a.Nice != nil:
		return &AttributeError{NiceAttribute, syscall.ENOTSUP}
	case a.NoNewPrivileges:
		return &AttributeError{NoNewPrivilegesAttribute, syscall.ENOTSUP}
	case len(a.Soft) > 0:
		return &AttributeError{SoftAttribute, syscall.ENOTSUP}
	}
	return nil
}
