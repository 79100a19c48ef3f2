package rpc

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestBytesInParams(t *testing.T) {
	value := func(s string) *string { return &s }
	for raw, want := range map[string]ExecuteParams{
		`{"command":{"base64":"Y2F0IGNhZuk="}}`:                                     {Command: Command{Shell: "cat caf\xe9"}},
		`{"command":["cat",{"base64":"Y2Fm6Q=="},"\u00e9"]}`:                        {Command: Command{Argv: []string{"cat", "caf\xe9", "é"}}},
		`{"command":"a","cwd":{"base64":"L+k="}}`:                                   {Command: Command{Shell: "a"}, Cwd: "/\xe9"},
		`{"command":"a","cwd":{"base64":"L3RtcA=="}}`:                               {Command: Command{Shell: "a"}, Cwd: "/tmp"},
		`{"command":"a","cwd":null,"env":null}`:                                     {Command: Command{Shell: "a"}},
		`{"command":"a","env":{"A":{"base64":"6Q=="},"B":"b","C":null}}`:            {Command: Command{Shell: "a"}, Env: Env{"A": value("\xe9"), "B": value("b"), "C": nil}},
		`{"command":"a","env":{"A":{"base64":"x","base64":""},"B":"\ud83d\ude00"}}`: {Command: Command{Shell: "a"}, Env: Env{"A": value(""), "B": value("😀")}},
	} {
		var got ExecuteParams
		if err := DecodeParams([]byte(raw), &got, false); err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestBytesInParamsErrors(t *testing.T) {
	for raw, want := range map[string]string{
		`{"command":{"base64":""}}`:                          "command must not be empty",
		`{"command":{"base64":"IA=="}}`:                      "command must not be empty",
		`{"command":{}}`:                                     "command.base64 is required",
		`{"command":{"base64":null}}`:                        "command.base64 is required",
		`{"command":{"base64":1}}`:                           "command.base64 must be a string",
		`{"command":{"base64":"\udce9"}}`:                    "command.base64 contains a lone surrogate",
		`{"command":{"base64":"YQ"}}`:                        "command.base64 is not valid base64",
		`{"command":{"base64":"YQ==","x":1}}`:                "command.x is an unknown field",
		`{"command":[{"base64":""}]}`:                        "command must not have an empty program name",
		`{"command":["a",{"base64":"?"}]}`:                   "command[1].base64 is not valid base64",
		`{"command":["a",["b"]]}`:                            `command[1] must be a string or {"base64": "…"}`,
		`{"command":["a",null]}`:                             `command[1] must be a string or {"base64": "…"}`,
		`{"command":"a","cwd":[]}`:                           `cwd must be a string or {"base64": "…"}`,
		`{"command":"a","env":{"A":false}}`:                  `env.A must be a string or {"base64": "…"}`,
		`{"command":"a","env":{"A":{"Base64":"YQ=="}}}`:      "env.A.Base64 is an unknown field",
		`{"command":"a","env":{"\udce9":{"base64":"YQ=="}}}`: "env has a name that contains a lone surrogate",
		`{"command":"a","env":"A=b"}`:                        "env must be an object",
	} {
		err := DecodeParams([]byte(raw), new(ExecuteParams), false)
		if err == nil || err.Message != want || !strings.HasPrefix(want, err.Data.(Data)["field"].(string)+" ") {
			t.Errorf("%s: %v, want %s", raw, err, want)
		}
	}
}

func TestCommandAsText(t *testing.T) {
	for _, test := range []struct {
		command           Command
		params, text, b64 string
	}{
		{Command{Shell: "é"}, `"é"`, `"é"`, `"w6k="`},
		{Command{Shell: "a\xe9\xe9"}, `{"base64":"Yenp"}`, `"a��"`, `"Yenp"`},
		{Command{Argv: []string{"a", "\xff", ""}}, `["a",{"base64":"/w=="},""]`, `["a","�",""]`, `["YQ==","/w==",""]`},
	} {
		for want, v := range map[string]any{test.params: test.command, test.text: test.command.Text(), test.b64: Base64Command(test.command)} {
			if got, err := json.Marshal(v); err != nil || string(got) != want {
				t.Errorf("%q: %s, %v, want %s", test.command, got, err, want)
			}
		}
		var back Base64Command
		if err := json.Unmarshal([]byte(test.b64), &back); err != nil || cmp.Diff(Command(back), test.command) != "" {
			t.Errorf("%q came back as %q, %v", test.command, back, err)
		}
	}
	var c Base64Command
	for _, raw := range []string{`1`, `[1]`, `"?"`, `["?"]`} {
		if err := json.Unmarshal([]byte(raw), &c); err == nil {
			t.Errorf("%s: no error", raw)
		}
	}
	if _, err := json.Marshal(Env{"\xff": nil}); err == nil {
		t.Error("a name that is not UTF-8 is no error")
	}
}

// What a Go client is given as strings comes to the server, whatever bytes it holds.
func FuzzExecuteParamsBytes(f *testing.F) {
	f.Add("cat \xff", "\xe9", "a<\u2028", "x")
	f.Fuzz(func(t *testing.T, command, arg, value, name string) {
		if strings.TrimSpace(command) == "" || !utf8.ValidString(name) {
			return
		}
		for _, c := range []Command{{Shell: command}, {Argv: []string{command, arg}}} {
			want := ExecuteParams{Command: c, Cwd: Bytes(arg), Env: Env{name: &value, name + "x": nil}}
			raw, err := json.Marshal(want)
			if err != nil || !utf8.Valid(raw) {
				t.Fatalf("%q: %v", raw, err)
			}
			var got, std ExecuteParams
			if err := DecodeParams(raw, &got, false); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", raw, diff)
			}
			if err := json.Unmarshal(raw, &std); err != nil || cmp.Diff(want, std) != "" {
				t.Errorf("%s: encoding/json makes %+v, %v", raw, std, err)
			}
		}
	})
}
