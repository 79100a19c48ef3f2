// Package runas gives a process, or the file system calls of a thread, the rights of another user.
package runas

import (
	"errors"
	"math"
)

// User is the credentials of a process (credentials(7)).
type User struct {
	UID, GID uint32
	// Groups are the supplementary groups. GID need not be among them.
	Groups []uint32
}

// MaxGroups is how many supplementary groups a User may have. Linux permits 65536.
const MaxGroups = 4096

// ErrInvalid means that a User has an id that is no id, or too many groups.
var ErrInvalid = errors.New("invalid user or group id, or too many groups")

// unset is the id that setresuid(2) and setresgid(2) take for no change.
const unset = math.MaxUint32

// Check returns ErrInvalid for a User that cannot be set.
func (u *User) Check() error {
	if u.UID == unset || u.GID == unset || len(u.Groups) > MaxGroups {
		return ErrInvalid
	}
	for _, g := range u.Groups {
		if g == unset {
			return ErrInvalid
		}
	}
	return nil
}
