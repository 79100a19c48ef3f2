package mcp

import (
	"strings"
	"testing"
)

// TestMessageBounds: what is counted, and that brackets and commas of strings are not.
func TestMessageBounds(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat("]}", n/2) }
	list := func(n int) string { return "[" + strings.Repeat("0,", n-1) + "0]" }
	for name, c := range map[string]struct{ text, want string }{
		"nothing":       {"", ""},
		"an object":     {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, ""},
		"strings":       {`{"a":"` + strings.Repeat(`[{,\"\\`, 20_000) + `"}`, ""},
		"open string":   {`{"a":"` + strings.Repeat("[", 100), ""},
		"open escape":   {`"\`, ""},
		"most levels":   {nested(MaxNesting), ""},
		"a level more":  {nested(MaxNesting + 2), "deeper than 32 levels"},
		"after strings": {`{"a":"\"","b":` + nested(MaxNesting) + "}", "deeper than 32 levels"},
		"most values":   {`{"a":` + list(MaxValues-2) + "}", ""},
		"a value more":  {`{"a":` + list(MaxValues-1) + "}", "more than 10000 values"},
		"most messages": {"\r\n\t " + list(MaxBatch), ""},
		"a batch":       {" [{},[0,0]" + strings.Repeat(", {}", MaxBatch-1) + "]", "more than 16 messages"},
		"no batch":      {`{"a":` + list(MaxBatch+1) + "}", ""},
	} {
		_, err := checkBounds([]byte(c.text))
		if got := ""; err != nil {
			got = err.Error()
			if c.want == "" || !strings.Contains(got, c.want) {
				t.Errorf("%s: %s", name, got)
			}
		} else if c.want != "" {
			t.Errorf("%s: no error", name)
		}
	}
	for text, want := range map[string]int{"": 1, "{}": 1, `{"a":[0,0]}`: 1, "[{}]": 1, `[{"a":[0,0]},{},{}]`: 3} {
		if n, err := checkBounds([]byte(text)); n != want || err != nil {
			t.Errorf("%s: %d messages, %v", text, n, err)
		}
	}
}
