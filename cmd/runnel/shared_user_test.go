package main

import (
	"os"
	"strings"
	"testing"
)

// TestCheckUsers: several principals that start sessions must have users of their own.
func TestCheckUsers(t *testing.T) {
	users := func(m map[string][]int) usersOf {
		return func(p string, _ []string) ([]int, bool) { uids, ok := m[p]; return uids, ok }
	}
	for name, c := range map[string]struct {
		principals []string
		uids       usersOf
		want       string // part of the error, or ""
	}{
		"one":                           {[]string{"a"}, nil, ""},
		"two without a policy":          {[]string{"a", "b"}, nil, "server's user"},
		"two with users":                {[]string{"a", "b"}, users(map[string][]int{"a": {1}, "b": {2, 3}}), ""},
		"two with the same user":        {[]string{"a", "b"}, users(map[string][]int{"a": {1, 2}, "b": {2}}), "same user (2)"},
		"one with the server's user":    {[]string{"a", "b"}, users(map[string][]int{"a": {1}, "b": {serverUser}}), "b run as the server's user, and a"},
		"one with its number":           {[]string{"a", "b"}, users(map[string][]int{"a": {1}, "b": {os.Geteuid()}}), "server's user"},
		"two, of which one may not run": {[]string{"a", "b"}, users(map[string][]int{"a": {serverUser}}), ""},
	} {
		err := checkUsers(c.principals, func(string) []string { return nil }, c.uids)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--shared-user")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
