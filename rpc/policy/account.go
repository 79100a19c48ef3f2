package policy

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
)

// Account is a user of the machine, with the groups that its commands get.
type Account struct {
	Name   string
	UID    int
	GID    int
	Groups []int // supplementary groups, with GID
	Home   string
	Shell  string // "" if it is not known
}

// LookupUser returns a user of the machine and its groups.
func LookupUser(name string) (Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: u.Username, Home: u.HomeDir, Shell: loginShell(u.Username)}
	if a.UID, err = strconv.Atoi(u.Uid); err != nil {
		return a, err
	}
	if a.GID, err = strconv.Atoi(u.Gid); err != nil {
		return a, err
	}
	a.Groups, err = numbers(ids)
	return a, err
}

func numbers(ids []string) (all []int, err error) {
	for _, id := range ids {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// users compiles the users of a section: user first, then those of users, and the groups that
// replace their own.
func (c *compiler) users(s *section, text *sectionText) {
	names, keys := text.Users, make([]string, len(text.Users))
	for i := range keys {
		keys[i] = fmt.Sprintf("%s[%d]", s.rule("users"), i)
	}
	if text.User != "" {
		names, keys = append([]string{text.User}, names...), append([]string{s.rule("user")}, keys...)
	}
	groups := c.groups(s, text.Groups)
	if text.Groups != nil && len(names) == 0 {
		c.bad(s.rule("groups"), errors.New("needs user or users"))
	}
	for i, name := range names {
		a, err := c.options.LookupUser(name)
		if err != nil {
			c.bad(keys[i], err)
			continue
		}
		if text.Groups != nil {
			a.Groups = slices.Compact(slices.Sorted(slices.Values(append([]int{a.GID}, groups...))))
		}
		if !slices.ContainsFunc(s.users, func(b Account) bool { return a.Name == b.Name }) {
			s.users = append(s.users, a)
		}
	}
}

// groups looks up the groups of the key groups.
func (c *compiler) groups(s *section, names []string) (all []int) {
	for i, name := range names {
		g, err := user.LookupGroup(name)
		if err == nil {
			var id int
			if id, err = strconv.Atoi(g.Gid); err == nil {
				all = append(all, id)
				continue
			}
		}
		c.bad(fmt.Sprintf("%s[%d]", s.rule("groups"), i), err)
	}
	return all
}
