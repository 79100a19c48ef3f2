package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

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
	if text.Groups != nil && len(names) == 0 {
		c.bad(s.rule("groups"), errors.New("needs user or users"))
	}
	groups := c.groups(s, text.Groups)
	for i, name := range names {
		a, err := c.options.Account(name)
		if err != nil {
			c.bad(keys[i], err)
			continue
		}
		if text.Groups != nil {
			a.Groups = groups
		}
		if !slices.ContainsFunc(s.users, func(b process.Account) bool { return a.Name == b.Name }) {
			s.users = append(s.users, a)
		}
	}
}

// groups looks up the groups of the key groups.
func (c *compiler) groups(s *section, names []string) (all []uint32) {
	for i, name := range names {
		id, err := process.LookupGroup(name)
		if err != nil {
			c.bad(fmt.Sprintf("%s[%d]", s.rule("groups"), i), err)
			continue
		}
		all = append(all, id)
	}
	return all
}

// user chooses the account that the command runs as: that which the request names, by its name or
// id, else the first of the section.
func (d *Decision) user(params *rpc.ExecuteParams, spec *session.Spec) error {
	users := d.section.users
	i := 0
	if name := params.User; name != "" {
		i = slices.IndexFunc(users, func(a process.Account) bool {
			return a.Name == name || strconv.FormatUint(uint64(a.UID), 10) == name
		})
		if i < 0 {
			return d.section.refuse("users", "user", "%q is not in the list", name)
		}
	}
	if i < len(users) {
		d.Account = &users[i]
		spec.Program.User = &d.Account.User
	}
	return nil
}
