package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// TestMembers: the members are the same whether or not the long string of the call is known, and
// each call of a batch has its own.
func TestMembers(t *testing.T) {
	long := `"` + strings.Repeat(`long \"string\" `, 100) + `"`
	longer := `"` + strings.Repeat("longer ", 1000) + `"`
	for _, c := range []struct{ params, long string }{
		{`{"a":1,"b":"short"}`, ""},
		{`{"a":` + long + `,"b":{"c":[1,2]}}`, long},
		{`{"a":` + longer + `,"b":` + long + `}`, long},
		{`{` + long + `:true,"b":"short"}`, long},
		{`{"a":[` + long + `,2],"b":` + longer + ` }`, longer},
	} {
		item := `{"jsonrpc":"2.0","id":1,"method":"m","params":` + c.params + `}`
		calls, _, bad := wire.ParseMessage([]byte("["+item+`,{"jsonrpc":"2.0","method":`+longer+"},"+item+"]"), 3, nil)
		if bad != nil {
			t.Fatal(bad)
		}
		for _, i := range []int{0, 2} {
			call := calls[i]
			if string(call.Long) != c.long || len(c.long) > 0 && string(call.Params) != c.params {
				t.Errorf("item %d: %.60s: long %.60q, want %.60q", i, call.Params, call.Long, c.long)
			}
			if got, want := members(call.Params, call.Long), members(call.Params, nil); got != want || got == "" {
				t.Errorf("%.60s: %.200s, want %.200s", call.Params, got, want)
			}
		}
		if calls[1].Long != nil {
			t.Errorf("a call without params has %.60q", calls[1].Long)
		}
	}
}

func members(object, long []byte) (text string) {
	wire.Members(object, long, func(name, value []byte) bool {
		text += fmt.Sprintf("%s=%s;", name, value)
		return true
	})
	return text
}
