package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// everything has a field of each type and tag that DecodeParams knows.
type everything struct {
	Name    string             `json:"name,omitempty"`
	Mode    string             `json:"mode,omitempty" enum:"lines,raw"`
	Flag    bool               `json:"flag,omitempty"`
	Maybe   *bool              `json:"maybe,omitempty"`
	Int     int64              `json:"int,omitempty"`
	Small   int8               `json:"small,omitempty"`
	Count   *int64             `json:"count,omitempty" min:"1" max:"1048576"`
	AtLeast int                `json:"at_least,omitempty" min:"0"`
	AtMost  float64            `json:"at_most,omitempty" max:"1.5"`
	Float   float64            `json:"float,omitempty"`
	Single  float32            `json:"single,omitempty"`
	List    []string           `json:"list,omitempty"`
	Labels  map[string]string  `json:"labels,omitempty"`
	Env     map[string]*string `json:"env,omitempty"`
	Limits  *inner             `json:"limits,omitempty"`
	Inner   inner              `json:"inner,omitzero"`
	Inners  []inner            `json:"inners,omitempty"`
	Raw     json.RawMessage    `json:"raw,omitempty"`
	Any     any                `json:"any,omitempty"`
	Custom  custom             `json:"custom,omitzero"`
	Wait    rpc.Seconds        `json:"wait,omitzero"`
	shared
	Hidden string `json:"-"`
	_      string
}

type inner struct {
	CPU  float64 `json:"cpu_seconds,omitempty"`
	Next *inner  `json:"next,omitempty"`
}

// shared is embedded: its fields are the outer struct's.
type shared struct {
	Session string `json:"session_id,omitempty"`
}

type custom struct{ text string }

func (c *custom) UnmarshalJSON(b []byte) error {
	if string(b) == `"bad"` {
		return errors.New("must not be bad")
	}
	c.text = string(b)
	return nil
}

func ptr[T any](v T) *T { return &v }

func TestDecodeParams(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		want      everything
	}{
		// JSON-RPC 2.0 §4.2: the params.
		{"left out", ``, everything{}},
		{"null", `null`, everything{}},
		{"empty array", ` [ ] `, everything{}},
		{"empty object", `{}`, everything{}},
		{"positional", ` [ {"name":"a"} ] `, everything{Name: "a"}},

		{"strings", `{"name":"a\n\u00e9\ud83d\ude00\ufffd","mode":"raw"}`, everything{Name: "a\né😀\ufffd", Mode: "raw"}},
		{"booleans", `{"flag":true,"maybe":false}`, everything{Flag: true, Maybe: ptr(false)}},
		{"integers", `{"int":-9223372036854775808,"small":127,"count":1048576}`, everything{Int: math.MinInt64, Small: 127, Count: ptr[int64](1 << 20)}},
		{"integer with a point", `{"int":-12.0}`, everything{Int: -12}},
		{"integer with an exponent", `{"int":1.25E+2,"small":1200e-1}`, everything{Int: 125, Small: 120}},
		{"integer beyond what a float holds", `{"int":9007199254740993.0}`, everything{Int: 9007199254740993}},
		{"zero with an exponent", `{"int":-0.00e99999999999999999999}`, everything{}},
		{"floats", `{"float":-0.5e-3,"single":2,"at_most":1.5}`, everything{Float: -0.0005, Single: 2, AtMost: 1.5}},
		{"list", `{"list":["a","","b"]}`, everything{List: []string{"a", "", "b"}}},
		{"empty list", `{"list":[]}`, everything{List: []string{}}},
		{"maps", `{"labels":{"a":"1","\u0062":"2"},"env":{"A":"x","B":null}}`, everything{Labels: map[string]string{"a": "1", "b": "2"}, Env: map[string]*string{"A": ptr("x"), "B": nil}}},
		{"structs", `{"limits":{"cpu_seconds":1,"next":{"cpu_seconds":2}},"inner":{"cpu_seconds":3},"inners":[{},{"cpu_seconds":4}]}`,
			everything{Limits: &inner{CPU: 1, Next: &inner{CPU: 2}}, Inner: inner{CPU: 3}, Inners: []inner{{}, {CPU: 4}}}},
		{"raw and any", `{"raw":{"a": [1]},"any":{"a":[1]}}`, everything{Raw: json.RawMessage(`{"a": [1]}`), Any: map[string]any{"a": []any{1.0}}}},
		{"unmarshalers", `{"custom":[1],"wait":1.5}`, everything{Custom: custom{"[1]"}, Wait: rpc.Seconds{Set: true, D: 1500 * time.Millisecond}}},
		{"embedded", `{"session_id":"s"}`, everything{shared: shared{"s"}}},
		{"null is left out", `{"name":null,"flag":null,"int":null,"count":null,"mode":null,"list":null,"env":null,"limits":null,"inner":null,"any":null}`, everything{}},
		{"null for those that take it", `{"raw":null,"custom":null,"wait":null}`, everything{Raw: json.RawMessage("null"), Custom: custom{"null"}, Wait: rpc.Seconds{Set: true, Null: true}}},
		{"the last of one name", `{"int":"x","int":1,"int":2,"name":"a","name":null,"limits":{"cpu_seconds":1},"limits":{}}`, everything{Int: 2, Limits: &inner{}}},
		{"name with escapes", `{"\u006eame":"a"}`, everything{Name: "a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw := []byte(tc.raw)
			var got everything
			if err := wire.DecodeParams(raw, &got, false); err != nil {
				t.Fatal(err)
			}
			for i := range raw {
				raw[i] = 'x' // got must not notice
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(everything{}, custom{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.raw, diff)
			}
		})
	}
}

func TestDecodeParamsErrors(t *testing.T) {
	for _, tc := range []struct{ raw, field, message string }{
		{`1`, "params", "params must be an object, or an array of one object"},
		{`"{}"`, "params", "params must be an object, or an array of one object"},
		{`[1]`, "params", "params must be an object, or an array of one object"},
		{`[null]`, "params", "params must be an object, or an array of one object"},
		{`[{},{}]`, "params", "params must be an object, or an array of one object"},
		{`{"name":}`, "params", "params are not valid JSON: expected a value at byte 8"},
		{`{} {}`, "params", "params are not valid JSON: more than one value at byte 3"},
		{"\x00", "params", "params are not valid JSON: expected a value at byte 0"},

		{`{"nome":1}`, "nome", "nome is an unknown field"},
		{`{"Name":"a"}`, "Name", "Name is an unknown field"},
		{`{"Hidden":"a"}`, "Hidden", "Hidden is an unknown field"},
		{`{"-":"a"}`, "-", "- is an unknown field"},
		{`{"secret":"a"}`, "secret", "secret is an unknown field"},
		{`{"shared":{}}`, "shared", "shared is an unknown field"},
		{`{"limits":{"disk":null}}`, "limits.disk", "limits.disk is an unknown field"},
		{`{"inners":[{},{"next":{"x":1}}]}`, "inners[1].next.x", "inners[1].next.x is an unknown field"},
		{`{"` + strings.Repeat("n", 1000) + `":1}`, strings.Repeat("n", 128) + "…", strings.Repeat("n", 128) + "… is an unknown field"},

		{`{"name":1}`, "name", "name must be a string"},
		{`{"mode":["raw"]}`, "mode", "mode must be a string"},
		{`{"mode":"Raw"}`, "mode", "mode must be one of lines, raw"},
		{`{"mode":""}`, "mode", "mode must be one of lines, raw"},
		{`{"flag":"true"}`, "flag", "flag must be true or false"},
		{`{"maybe":0}`, "maybe", "maybe must be true or false"},
		{`{"int":"1"}`, "int", "int must be a whole number"},
		{`{"int":1.5}`, "int", "int must be a whole number"},
		{`{"int":1e-1}`, "int", "int must be a whole number"},
		{`{"int":1e-99999999999999999999}`, "int", "int must be a whole number"},
		{`{"int":9223372036854775808}`, "int", "int is out of range"},
		{`{"int":1e99999999999999999999}`, "int", "int is out of range"},
		{`{"small":128}`, "small", "small is out of range"},
		{`{"count":0}`, "count", "count must be from 1 to 1048576"},
		{`{"count":1048577}`, "count", "count must be from 1 to 1048576"},
		{`{"count":1e30}`, "count", "count must be from 1 to 1048576"},
		{`{"at_least":-1}`, "at_least", "at_least must be at least 0"},
		{`{"at_most":1.6}`, "at_most", "at_most must be at most 1.5"},
		{`{"float":true}`, "float", "float must be a number"},
		{`{"float":1e400}`, "float", "float is out of range"},
		{`{"single":1e39}`, "single", "single is out of range"},
		{`{"list":"a"}`, "list", "list must be an array"},
		{`{"list":["a",1]}`, "list[1]", "list[1] must be a string"},
		{`{"list":[null]}`, "list[0]", "list[0] must be a string"},
		{`{"labels":[]}`, "labels", "labels must be an object"},
		{`{"labels":{"a":null}}`, "labels.a", "labels.a must be a string"},
		{`{"env":{"A":1}}`, "env.A", "env.A must be a string"},
		{`{"limits":[]}`, "limits", "limits must be an object"},
		{`{"limits":{"cpu_seconds":"1"}}`, "limits.cpu_seconds", "limits.cpu_seconds must be a number"},
		{`{"any":[1e400]}`, "any", "any contains a number that is out of range"},
		{`{"custom":"bad"}`, "custom", "custom must not be bad"},
		{`{"wait":-1}`, "wait", "wait must not be negative"},

		{`{"name":"caf\udce9"}`, "name", "name contains a lone surrogate"},
		{`{"name":"\ufffd\ud83d"}`, "name", "name contains a lone surrogate"},
		{`{"name":"\ud83d\ud83d\ude00"}`, "name", "name contains a lone surrogate"},
		{`{"name":"\ude00\ud83d"}`, "name", "name contains a lone surrogate"},
		{`{"mode":"\ud83d"}`, "mode", "mode contains a lone surrogate"},
		{`{"list":["a","\uDCE9"]}`, "list[1]", "list[1] contains a lone surrogate"},
		{`{"labels":{"a":"\udce9"}}`, "labels.a", "labels.a contains a lone surrogate"},
		{`{"labels":{"\udce9":"a"}}`, "labels", "labels has a name that contains a lone surrogate"},
		{`{"env":{"\udce9":null}}`, "env", "env has a name that contains a lone surrogate"},
		{`{"any":{"a":["\udce9"]}}`, "any", "any contains a lone surrogate"},
	} {
		t.Run(tc.message, func(t *testing.T) {
			err := wire.DecodeParams([]byte(tc.raw), new(everything), false)
			if err == nil {
				t.Fatalf("%s: no error", tc.raw)
			}
			want := wire.FieldError{Field: tc.field, Text: strings.TrimPrefix(tc.message, tc.field+" ")}
			if strings.Contains(tc.message, "one of lines") {
				want.Known = []string{"lines", "raw"}
			}
			if diff := cmp.Diff(want, *err); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.raw, diff)
			}
		})
	}
}

func TestDecodeParamsLenient(t *testing.T) {
	const raw = `[{"Name":"b","name":"a","x":{"y":[1]},"inners":[{"z":1,"cpu_seconds":2}]}]`
	var got everything
	if err := wire.DecodeParams([]byte(raw), &got, true); err != nil {
		t.Fatal(err)
	}
	if got.Name != "a" || got.Inners[0].CPU != 2 {
		t.Errorf("got %+v", got)
	}
	if err := wire.DecodeParams([]byte(`{"x":1,"name":1}`), &got, true); err == nil || err.Error() != "name must be a string" {
		t.Errorf("got %v", err)
	}
}

func TestDecodeParamsRequired(t *testing.T) {
	type params struct {
		Session string          `json:"session_id" rpc:"required"`
		ID      json.RawMessage `json:"id" rpc:"required"`
		Other   string          `json:"other" rpc:"nonempty"`
		Both    string          `json:"both" rpc:"required,nonempty"`
	}
	for raw, want := range map[string]string{
		``:                                      "session_id is required",
		`[]`:                                    "session_id is required",
		`{"session_id":null}`:                   "session_id is required",
		`{"session_id":"s"}`:                    "id is required",
		`{"session_id":"","id":null}`:           "both is required", // present, and null is an id
		`{"session_id":"","id":null,"both":""}`: "both must not be empty",
		`{"session_id":"","id":null,"both":"x","other":""}`:   "other must not be empty",
		`{"session_id":"","id":null,"both":"x","other":null}`: "",
		`{"session_id":"","id":null,"both":"x"}`:              "",
		`{"session_id":"","session":""}`:                      "session is an unknown field",
	} {
		var got string
		if err := wire.DecodeParams([]byte(raw), new(params), false); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

func TestDecodeParamsKeepsDefaults(t *testing.T) {
	got := everything{Name: "default", Int: 7, List: []string{"d"}, Limits: &inner{CPU: 1}}
	defaults := got.List
	if err := wire.DecodeParams([]byte(`{"int":null,"list":["a"],"limits":{}}`), &got, false); err != nil {
		t.Fatal(err)
	}
	if got.Name != "default" || got.Int != 7 || got.Limits.CPU != 0 || !slices.Equal(got.List, []string{"a"}) || defaults[0] != "d" {
		t.Errorf("got %+v, the default list %q", got, defaults)
	}
}

func TestDecodeParamsPanics(t *testing.T) {
	for name, dst := range map[string]any{
		"unsigned": &struct{ A uint }{},
		"channel":  &struct{ A chan int }{},
		"array":    &struct{ A [2]int }{},
		"map keys": &struct{ A map[int]string }{},
		"bound": &struct {
			A int `min:"x"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			wire.DecodeParams([]byte(`{"A":1}`), dst, false)
		})
	}
}

// FuzzDecodeParams checks that encoding/json accepts what strict decoding accepts, and decodes it
// to the same value, but for two things that it refuses: an earlier value of the same name that is
// of another type, and integers written as 1.0 or 1e3.
func FuzzDecodeParams(f *testing.F) {
	for _, raw := range []string{
		`{"name":"\ud83d\ude00","mode":"raw","flag":true,"int":1e2,"float":1.5,"list":["a"],"env":{"A":null}}`,
		`[{"limits":{"next":{"next":null}},"inners":[{}],"any":[{}],"raw":[ 1 ],"wait":0.5}]`,
		`{"int":1,"int":2}`, `{"int":9007199254740993.0}`, `{"Name":1}`, `[]`, `null`, `{"labels":{"":""}}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, lenient everything
		err := wire.DecodeParams(raw, &got, false)
		if lenientErr := wire.DecodeParams(raw, &lenient, true); err == nil && lenientErr != nil {
			t.Errorf("%q: only lenient decoding fails: %v", raw, lenientErr)
		}
		if err != nil {
			if err.Field == "" || err.Text == "" {
				t.Errorf("%q: error %+v", raw, err)
			}
			return
		}
		object := onlyObject(raw)
		if hasRepeatedNames(object) || !utf8.Valid(raw) {
			return
		}
		var want everything
		if err := json.Unmarshal(object, &want); err != nil {
			var typeErr *json.UnmarshalTypeError
			if !errors.As(err, &typeErr) || !strings.HasPrefix(typeErr.Value, "number ") || !strings.ContainsAny(typeErr.Value, ".eE") {
				t.Errorf("%q: encoding/json refuses it: %v", raw, err)
			}
			return
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", raw, got, want)
		}
	})
}

// FuzzLoneSurrogate checks that a string is refused exactly if its UTF-16 has a surrogate without
// its other half.
func FuzzLoneSurrogate(f *testing.F) {
	for _, s := range []string{`caf\udce9`, `\ud83d\ude00`, `\\ud83d`, `\\\ud83d`, `\ud83d\n\ude00`, `\ufffd`, "\ufffd\\ud800", `\uD800\uD800\uDC00`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		value := `"` + inside + `"`
		if !utf8.ValidString(inside) || !json.Valid([]byte(value)) {
			return
		}
		want := loneSurrogate(utf16Units(inside))
		for _, raw := range []string{`{"name":` + value + `}`, `{"list":["",` + value + `]}`, `{"labels":{` + value + `:""}}`,
			`{"env":{"a":` + value + `}}`, `{"any":[` + value + `]}`} {
			if err := wire.DecodeParams([]byte(raw), new(everything), false); (err != nil) != want {
				t.Errorf("%s: %v, a lone surrogate: %t", raw, err, want)
			}
		}
		for _, raw := range []string{`{"command":` + value + `}`, `{"command":["x",` + value + `]}`} {
			err := wire.DecodeParams([]byte(raw), new(rpc.ExecuteParams), false)
			if refused := err != nil && strings.Contains(err.Error(), "surrogate"); refused != want {
				t.Errorf("%s: %v, a lone surrogate: %t", raw, err, want)
			}
		}
	})
}

// utf16Units is the inside of a valid JSON string in UTF-16.
func utf16Units(inside string) (units []uint16) {
	for len(inside) > 0 {
		r, size := utf8.DecodeRuneInString(inside)
		switch {
		case r == '\\' && inside[1] == 'u':
			n, _ := strconv.ParseUint(inside[2:6], 16, 16)
			units, size = append(units, uint16(n)), 6
		case r == '\\':
			units, size = append(units, 'x'), 2
		default:
			units = utf16.AppendRune(units, r)
		}
		inside = inside[size:]
	}
	return units
}

// loneSurrogate is the reference: it takes whole pairs out and looks for what is left.
func loneSurrogate(units []uint16) bool {
	for i := 0; i < len(units); i++ {
		switch {
		case i+1 < len(units) && utf16.DecodeRune(rune(units[i]), rune(units[i+1])) != utf8.RuneError:
			i++
		case utf16.IsSurrogate(rune(units[i])):
			return true
		}
	}
	return false
}

// onlyObject returns the one object of valid params.
func onlyObject(raw []byte) json.RawMessage {
	var array []json.RawMessage
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return json.RawMessage("{}")
	case json.Unmarshal(raw, &array) != nil:
		return raw
	case len(array) == 0: // an empty array or null
		return json.RawMessage("{}")
	}
	return array[0]
}

// hasRepeatedNames reports whether any object in valid JSON has two members of one name.
func hasRepeatedNames(value []byte) bool {
	d := json.NewDecoder(bytes.NewReader(value))
	var open []map[any]bool // the names of each open object; nil for an array
	name := false           // the next token is a name, or the end of an object
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		top := func() map[any]bool {
			if len(open) == 0 {
				return nil
			}
			return open[len(open)-1]
		}
		switch token {
		case json.Delim('{'):
			open = append(open, map[any]bool{})
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if name {
				if top()[token] {
					return true
				}
				top()[token] = true
				name = false
				continue
			}
		}
		name = top() != nil
	}
}

func BenchmarkDecodeParams(b *testing.B) {
	write := wire.WriteRequest(wire.Lines(64<<10, 80))
	for name, bench := range map[string]struct {
		raw []byte
		dst func() any
	}{
		"execute": {[]byte(`{"command":"make -j8 test","cwd":"/home/someone/project","env":{"CI":"1"},"timeout":600,"mode":"lines"}`), func() any { return new(rpc.ExecuteParams) }},
		"write":   {write[bytes.Index(write, []byte(`{"data"`)) : len(write)-1], func() any { return new(rpc.WriteParams) }},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			wire.Ratio(b, len(bench.raw),
				func() { wire.DecodeParams(bench.raw, bench.dst(), false) },
				func() { json.Unmarshal(bench.raw, bench.dst()) })
		})
	}
}
