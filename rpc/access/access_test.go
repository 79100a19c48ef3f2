package access

import (
	"strings"
	"testing"
)

func TestRole(t *testing.T) {
	for text, want := range map[string]Role{"": Run, "run": Run, "observe": Observe, "admin": Admin} {
		var r Role
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("role %q = %v, %v", text, r, err)
		}
		if got, _ := r.MarshalText(); text != "" && string(got) != text {
			t.Errorf("%v is written as %q", r, got)
		}
	}
	for _, text := range []string{"Run", "root", "run "} {
		if err := new(Role).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a role", text)
		}
	}
}

func TestRoleAtMost(t *testing.T) {
	for _, c := range []struct{ r, limit, want Role }{
		{Run, Run, Run}, {Run, Admin, Run}, {Admin, Run, Run}, {Admin, Admin, Admin},
		{Observe, Admin, Observe}, {Admin, Observe, Observe}, {Run, Observe, Observe},
	} {
		if got := c.r.AtMost(c.limit); got != c.want {
			t.Errorf("%v started by %v acts as %v, want %v", c.r, c.limit, got, c.want)
		}
	}
}

func TestValidPrincipal(t *testing.T) {
	for _, name := range []string{"user", "uid:alice", "ci@example.org", "A-1.b_c+d", strings.Repeat("a", MaxPrincipalBytes)} {
		if err := ValidPrincipal(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a/b", ".", "..", "-x", "a b", "a\x00", "é", "a\n", strings.Repeat("a", MaxPrincipalBytes+1)} {
		if err := ValidPrincipal(name); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
