package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
)

// starters returns the principals that may start sessions, with these tokens and mappings.
func (c *serveCmd) starters(tokens []auth.Token, p *auth.Principals) []string {
	all := p.Starters()
	if c.TokenFile != "" || !c.hasCredentials() {
		all = append(all, access.User)
	}
	for _, t := range tokens {
		if t.Role.MayStart() {
			all = append(all, t.Name)
		}
	}
	for _, text := range c.AllowUID {
		if _, principal, err := parseUser(text); err == nil {
			all = append(all, principal)
		}
	}
	for _, text := range c.AllowGID { // any number of principals
		all = append(all, "the members of "+text, "other members of "+text)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// usersOf returns the users as which commands of a principal may run, which is in groups, and
// whether it may start any: see policy.UIDs. A nil function stands for a server without a policy.
type usersOf func(principal string, groups []string) (uids []int, ok bool)

// serverUser stands for the server's user.
const serverUser = -1

// checkUsers returns an error if several principals start sessions whose commands run as the same
// user, or one as the server's user: then they are not isolated from each other. groups returns the
// groups of a principal.
func checkUsers(principals []string, groups func(principal string) []string, users usersOf) error {
	uids := func(principal string) ([]int, bool) {
		if users == nil {
			return []int{serverUser}, true
		}
		return users(principal, groups(principal))
	}
	principals = slices.DeleteFunc(principals, func(p string) bool { _, ok := uids(p); return !ok })
	if len(principals) < 2 {
		return nil
	}
	principalOf := map[int]string{}
	for _, principal := range principals {
		all, _ := uids(principal)
		for _, uid := range all {
			other := principalOf[uid]
			switch {
			case uid == serverUser, uid == os.Geteuid():
				return fmt.Errorf("the commands of %s run as the server's user, and %s may start sessions too: %s",
					principal, strings.Join(without(principals, principal), ", "), sharedUserHint)
			case other != "" && other != principal:
				return fmt.Errorf("the commands of %s and %s run as the same user (%d): %s", other, principal, uid, sharedUserHint)
			}
			principalOf[uid] = principal
		}
	}
	return nil
}

const sharedUserHint = "they can reach each other's files, processes and credentials; " +
	"give each a user of its own in --policy, or permit it with --shared-user"

// without returns at most three of the principals that are not this one.
func without(principals []string, principal string) []string {
	const most = 3
	rest := slices.DeleteFunc(slices.Clone(principals), func(p string) bool { return p == principal })
	return rest[:min(len(rest), most)]
}
