//go:build linux

package codex_test

import (
	"fmt"
	"strings"
	"testing"
)

// withPolicy returns the params of a process/start with an envPolicy.
func withPolicy(id string, policy map[string]any) map[string]any {
	p := command(id, "")
	p["argv"] = []string{"/usr/bin/env"} // a shell drops variables with other names than its own may have
	p["envPolicy"] = policy
	return p
}

// TestEnvPolicyPatterns checks what the patterns of an envPolicy match.
func TestEnvPolicyPatterns(t *testing.T) {
	t.Parallel()
	c := serve(t).client()
	set := map[string]string{"V_ONE": "1", "V_TWO": "2", "V[X]": "3", "V/Y": "4", "VÄ": "5"}
	for i, test := range []struct {
		pattern string
		want    []string
	}{
		{"v_*", []string{"V_ONE=1", "V_TWO=2"}},
		{"*o*e", []string{"V_ONE=1"}},
		{"V_???", []string{"V_ONE=1", "V_TWO=2"}},
		{"v??", []string{"V/Y=4"}},
		{"v?y", []string{"V/Y=4"}},
		{"v?", []string{"VÄ=5"}},
		{"v[x]", []string{"V[X]=3"}},
		{"v[!x]", nil},
		{"V_ONE**", []string{"V_ONE=1"}},
	} {
		id := fmt.Sprint("p", i)
		c.mustCall("process/start", withPolicy(id, map[string]any{"inherit": "none", "set": set, "includeOnly": []string{test.pattern}}), nil)
		output, _ := c.ended(id)
		var got []string
		for _, line := range sorted(strings.Fields(output)) {
			if strings.HasPrefix(line, "V") {
				got = append(got, line)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: %q, want %q", test.pattern, got, test.want)
		}
	}
}

// TestEnvPolicyBounds checks that an envPolicy that takes long to apply is refused, and leaves no process
// behind.
func TestEnvPolicyBounds(t *testing.T) {
	t.Parallel()
	c := serve(t, func(set *settings) { set.Codex.MaxProcesses = 1 }).client()
	many := map[string]string{}
	for i := range 1024 {
		many[fmt.Sprint(strings.Repeat("A", 200), i)] = ""
	}
	costly := make([]string, 64)
	for i := range costly {
		costly[i] = "*" + strings.Repeat("A", 100) + "B*"
	}
	over := map[string]string{"ONE_MORE": ""}
	for name := range many {
		over[name] = ""
	}
	for _, policy := range []map[string]any{
		{"inherit": "none", "includeOnly": make([]string, 65)},
		{"inherit": "none", "exclude": make([]string, 64), "includeOnly": []string{"*"}},
		{"inherit": "none", "exclude": []string{strings.Repeat("A", 257)}},
		{"inherit": "none", "set": over},
		{"inherit": "none", "set": many, "includeOnly": costly},
	} {
		c.refused("process/start", withPolicy("p", policy), -32602)
	}
	c.start("p", "true")
}
