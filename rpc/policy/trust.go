package policy

import (
	"os"
	"slices"
)

// trust says whom a program must be safe from: users as which commands of the policy run. Such a
// program, and each directory and symbolic link on its path, has an owner who is trusted and cannot
// be written to by others. It can then not be exchanged between its check and its exec. sudo(8) and
// sshd(8) have the same rule for their files.
type trust struct {
	owners []int    // root, and the server's user unless commands run as that user
	groups []uint32 // groups of the users of the policy: they must not be able to write
}

// setTrust derives the trust from the users of all sections.
func (p *Policy) setTrust() {
	server := *p.options.Server
	t := trust{owners: []int{0, server}}
	for _, s := range p.all() {
		if len(s.users) == 0 && server != 0 {
			t.owners = []int{0}
			t.groups = append(t.groups, ownGroups()...)
		}
		for _, u := range s.users {
			if int(u.UID) == server && server != 0 {
				t.owners = []int{0}
			}
			t.groups = append(t.groups, u.Groups...)
			t.groups = append(t.groups, u.GID)
		}
	}
	t.groups = slices.DeleteFunc(t.groups, func(gid uint32) bool { return gid == 0 })
	slices.Sort(t.groups)
	t.groups = slices.Compact(t.groups)
	p.trust = t
}

// ownGroups returns the groups of this process.
func ownGroups() (all []uint32) {
	groups, _ := os.Getgroups()
	for _, g := range append(groups, os.Getegid()) {
		all = append(all, uint32(g))
	}
	return all
}
