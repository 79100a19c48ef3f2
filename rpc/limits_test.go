package rpc

import (
	"encoding/json"
	"math"
	"testing"
)

// TestSoftLimit goes both ways: a number, null, or left out.
func TestSoftLimit(t *testing.T) {
	for text, want := range map[string]SoftLimit{
		`{"open_files":0}`:                   {Set: true},
		`{"open_files":64}`:                  {Set: true, Value: 64},
		`{"open_files":9223372036854775807}`: {Set: true, Value: math.MaxInt64},
		`{"open_files":null}`:                {Set: true, None: true},
		`{}`:                                 {},
	} {
		var l SoftLimits
		if err := DecodeParams([]byte(text), &l, false); err != nil || l.OpenFiles != want {
			t.Errorf("%s: %+v, %v", text, l.OpenFiles, err)
		}
		if b, err := json.Marshal(l); err != nil || string(b) != text {
			t.Errorf("%s, %v; want %s", b, err, text)
		}
	}
	var l SoftLimits
	if err := DecodeParams([]byte(`{"open_files":1e3,"core_bytes":2.0,"stack_bytes":-0}`), &l, false); err != nil || l.OpenFiles.Value != 1000 || l.CoreBytes.Value != 2 || !l.StackBytes.Set {
		t.Errorf("%+v, %v", l, err)
	}
	for _, wrong := range []string{`-1`, `-1e99`, `1.5`, `9223372036854775808`, `1e99`, `"1"`, `true`, `[]`, `{}`, `"unlimited"`} {
		err := DecodeParams([]byte(`{"open_files":`+wrong+`}`), &SoftLimits{}, false)
		if err == nil || err.Data.(Data)["field"] != "open_files" {
			t.Errorf("%s: %+v", wrong, err)
		}
	}
	if _, err := json.Marshal(SoftLimit{Set: true, Value: -1}); err == nil {
		t.Error("a negative one was written")
	}
}
