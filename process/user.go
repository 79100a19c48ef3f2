package process

import (
	"github.com/runnel-rpc/runnel/process/internal/passwd"
	"github.com/runnel-rpc/runnel/process/internal/runas"
)

// User is the credentials of a command (credentials(7)): its user id, group id and supplementary
// groups. GID need not be among the groups. An id of 2^32-1 is invalid.
type User = runas.User

// MaxGroups is how many supplementary groups a User may have.
const MaxGroups = runas.MaxGroups

// Opened is what a start has opened: what is executed and entered, whatever its names refer to by
// then.
type Opened struct {
	Dir File // the working directory
	// Programs are the program and its interpreters, in the order in which the kernel uses them:
	// after a script that of its first line, which may be a script too, and after a dynamically
	// linked program the dynamic linker. There is at least one. The linker is missing if the
	// program can be executed but not read.
	Programs []File
}

// File is an open file or directory.
type File struct {
	// Path is the absolute path without symbolic links at which the file was opened. At that time
	// it was still there.
	Path string
	// Name is the name by which it was opened, relative to Dir unless it begins with a slash: that
	// of Spec, with the element of PATH, or that which a program has for its interpreter.
	Name     string
	FD       int    // O_PATH; valid until Check returns
	Dev, Ino uint64 // identify the file
	Mode     uint32 // as in stat(2), with the type
	UID, GID uint32 // the owner
	// Script is true for a program that begins with #!. It is not executed itself: the interpreter
	// gets Path, and opens it by that name.
	Script bool
}

// opens reports whether the start opens the files of the command before the fork, and makes it from
// their descriptors.
func (s *Spec) opens() bool { return s.User != nil || s.Check != nil || s.Sandbox != nil }

// Account is a user of this machine.
type Account struct {
	User
	Name, Home, Shell string // Home and Shell may be ""
}

// LookupAccount returns the account of a user by its name, or by its decimal id, with all groups of
// which it is a member. It reads /etc/passwd and /etc/group, at most once a second and if they have
// changed, and no other source of nsswitch.conf(5), such as LDAP, which may block. So a user that
// only such a source has is unknown. It may be called from any goroutine.
func LookupAccount(name string) (Account, error) {
	a, err := passwd.System.Account(name)
	if err != nil {
		return Account{}, err
	}
	groups, err := passwd.System.GroupsOf(a)
	return Account{User{UID: a.UID, GID: a.GID, Groups: groups}, a.Name, a.Home, a.Shell}, err
}

// LookupGroup returns the id of a group by its name or its decimal id, as LookupAccount.
func LookupGroup(name string) (uint32, error) { return passwd.System.Group(name) }

// ChangesUser reports whether this process may run commands as other users: see Spec.User.
func ChangesUser() bool {
	changes, permitted := (&User{}).Permitted()
	return changes && permitted
}
