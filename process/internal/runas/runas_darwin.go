package runas

import "errors"

// Permitted is false: only Linux can run a command as another user.
func (u *User) Permitted() (changes, permitted bool) { return true, false }

// Files runs f if u is nil, and else fails.
func (u *User) Files(f func()) error {
	if u != nil {
		return errors.ErrUnsupported
	}
	f()
	return nil
}
