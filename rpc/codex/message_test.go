package codex

import (
	"encoding/json"
	"testing"
)

// FuzzParse checks that no message is accepted whose id or method is not valid, and that replies to it
// are valid JSON.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"id":1,"method":"initialize","params":{"clientName":"x"}}`, `{"method":"initialized"}`, `{"id":"a","method":"m","params":null}`,
		`[]`, `{"id":-1,"result":{}}`, `{"id":1e3,"method":"m"}`, "\xff", `{"id":"\ud800","method":"m","params":{}}`, `{"ID":1,"method":"m"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, ok, err := parse(text)
		switch {
		case err != nil && ok:
			t.Error("accepted with an error")
		case err != nil && !json.Valid(reply(noID, nil, invalidRequest("%v", err))):
			t.Error("the reply is not valid")
		case err != nil || !ok:
			return
		case r.method == "" || len(r.id) > maxIDBytes || r.params != nil && r.params[0] != '{':
			t.Errorf("%+v", r)
		case r.id != nil && !json.Valid(reply(r.id, struct{}{}, nil)):
			t.Error("the reply is not valid")
		}
	})
}
