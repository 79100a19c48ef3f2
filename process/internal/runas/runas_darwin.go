package runas

// Permitted is false: only Linux can run a command as another user.
func (u *User) Permitted() (changes, permitted bool) { return true, false }
