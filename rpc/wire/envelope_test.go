package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// parsed is what [ParseMessage] made of a message, in a form that is easy to write down.
type parsed struct {
	Calls []string // as describe has it
	Batch bool
	Err   string
}

func parse(msg string, maxBatch int) parsed {
	calls, batch, err := ParseMessage([]byte(msg), maxBatch, nil)
	var p parsed
	for _, c := range calls {
		p.Calls = append(p.Calls, describe(c))
	}
	p.Batch = batch
	if err != nil {
		p.Err = fmt.Sprint(code(err), " ", err)
	}
	return p
}

// code is the JSON-RPC code of an error (§5.1).
func code(e *Error) int {
	if e.Syntax {
		return -32700
	}
	return -32600
}

// describe writes a call as "id method params", with - for what is left out, or as "id code
// message".
func describe(c Call) string {
	or := func(b []byte) string {
		if b == nil {
			return "-"
		}
		return string(b)
	}
	if c.Response {
		return "response"
	}
	if c.Err != nil {
		return fmt.Sprint(or(c.ID), " ", code(c.Err), " ", c.Err)
	}
	return or(c.ID) + " " + c.Method + " " + or(c.Params)
}

func one(call string) parsed            { return parsed{Calls: []string{call}} }
func batch(calls ...string) parsed      { return parsed{Calls: calls, Batch: true} }
func refused(b bool, err string) parsed { return parsed{Batch: b, Err: err} }

const (
	noObject  = "- -32600 not an object"
	badID     = "- -32600 id must be a string, a number or null"
	noVersion = `-32600 jsonrpc must be "2.0"`
	noMethod  = "-32600 method must be a string"
	badParams = "-32600 params must be an object or an array"
)

func TestParseMessage(t *testing.T) {
	const maxBatch = 3
	for _, tc := range []struct {
		name, msg string
		want      parsed
	}{
		// The examples of JSON-RPC 2.0 §7, in its order. The answers are not for the server to
		// read.
		{"§7 positional parameters", `{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}`, one(`1 subtract [42, 23]`)},
		{"§7 positional parameters, other order", `{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}`, one(`2 subtract [23, 42]`)},
		{"§7 named parameters", `{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}`, one(`3 subtract {"subtrahend": 23, "minuend": 42}`)},
		{"§7 named parameters, other order", `{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}`, one(`4 subtract {"minuend": 42, "subtrahend": 23}`)},
		{"§7 notification", `{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}`, one(`- update [1,2,3,4,5]`)},
		{"§7 notification without params", `{"jsonrpc": "2.0", "method": "foobar"}`, one(`- foobar -`)},
		{"§7 method that does not exist", `{"jsonrpc": "2.0", "method": "foobar", "id": "1"}`, one(`"1" foobar -`)},
		{"§7 invalid JSON", `{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]`, refused(false, "-32700 expected ',' or '}' at byte 39")},
		{"§7 invalid request", `{"jsonrpc": "2.0", "method": 1, "params": "bar"}`, one("- " + noMethod)},
		{"§7 batch, invalid JSON", `[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method"
]`, refused(true, "-32700 expected ':' at byte 101")},
		{"§7 empty array", `[]`, refused(true, "-32600 the batch is empty")},
		{"§7 invalid batch, not empty", `[1]`, batch(noObject)},
		{"§7 invalid batch", `[1,2,3]`, batch(noObject, noObject, noObject)},

		// §4: the request object.
		{"jsonrpc left out", `{"method":"m","id":1}`, one("1 " + noVersion)},
		{"jsonrpc 1.0", `{"jsonrpc":"1.0","method":"m","id":1}`, one("1 " + noVersion)},
		{"jsonrpc a number", `{"jsonrpc":2.0,"method":"m","id":1}`, one("1 " + noVersion)},
		{"jsonrpc null", `{"jsonrpc":null,"method":"m","id":1}`, one("1 " + noVersion)},
		{"jsonrpc with an escape", `{"jsonrpc":"\u0032.0","method":"m","id":1}`, one("1 m -")},
		{"jsonrpc with more", `{"jsonrpc":"2.00","method":"m","id":1}`, one("1 " + noVersion)},
		{"method left out", `{"jsonrpc":"2.0","id":1}`, one("1 " + noMethod)},
		{"method null", `{"jsonrpc":"2.0","method":null,"id":1}`, one("1 " + noMethod)},
		{"method empty", `{"jsonrpc":"2.0","method":"","id":1}`, one("1  -")},
		{"method with escapes", `{"jsonrpc":"2.0","method":"\u0024/cancel\"\ud83d\ude00","id":1}`, one("1 $/cancel\"\U0001f600 -")},
		{"a response", `{"jsonrpc":"2.0","result":19,"id":1}`, one("response")},
		{"an error response", `{"jsonrpc":"2.0","error":{"code":-32700,"message":""},"id":null}`, one("response")},
		{"a response that is malformed", `{"result":null,"id":{}}`, one("response")},
		{"a response with a method", `{"jsonrpc":"2.0","result":19,"method":"m","id":1}`, one("1 m -")},
		{"a response in a batch", `[{"jsonrpc":"2.0","result":19,"id":1},{"jsonrpc":"2.0","method":"m","id":2}]`, batch("response", "2 m -")},
		{"malformed notification", `{"jsonrpc":"2.0","method":"m","params":1}`, one("- " + badParams)},
		{"unknown members", `{"jsonrpc":"2.0","method":"m","id":1,"meta":{"a":[1]},"":0}`, one("1 m -")},
		{"names in other case", `{"JSONRPC":"2.0","Method":"m","ID":1}`, one("- " + noVersion)},
		{"names with escapes", `{"\u006a\u0073\u006f\u006e\u0072\u0070\u0063":"2.0","\u006dethod":"m","\u0069d":1,"p\u0061rams":[]}`, one("1 m []")},
		{"long name with escapes", `{"jsonrpc":"2.0","method":"m","id` + strings.Repeat(`\u0064`, 50) + `":1}`, one("- m -")},
		{"last of the same name", `{"jsonrpc":"1.0","method":1,"id":{},"params":3,"jsonrpc":"2.0","method":"m","id":2,"params":{}}`, one("2 m {}")},
		{"last id is bad", `{"jsonrpc":"2.0","method":"m","id":1,"id":[]}`, one(badID)},
		{"empty object", `{}`, one("- " + noVersion)},
		{"a scalar", `17`, one(noObject)},
		{"a string", `"{}"`, one(noObject)},
		{"null", `null`, one(noObject)},

		// §4: the id.
		{"id 0", `{"jsonrpc":"2.0","method":"m","id":0}`, one("0 m -")},
		{"id negative", `{"jsonrpc":"2.0","method":"m","id":-1}`, one("-1 m -")},
		{"id negative zero", `{"jsonrpc":"2.0","method":"m","id":-0.0}`, one("-0.0 m -")},
		{"id fractional", `{"jsonrpc":"2.0","method":"m","id":1.50}`, one("1.50 m -")},
		{"id beyond any float", `{"jsonrpc":"2.0","method":"m","id":1e400}`, one("1e400 m -")},
		{"id of many digits", `{"jsonrpc":"2.0","method":"m","id":123456789012345678901234567890}`, one("123456789012345678901234567890 m -")},
		{"id an escaped string", `{"jsonrpc":"2.0","method":"m","id":"\u0061\/\"b"}`, one(`"\u0061\/\"b" m -`)},
		{"id empty", `{"jsonrpc":"2.0","method":"m","id":""}`, one(`"" m -`)},
		{"id null", `{"jsonrpc":"2.0","method":"m","id":null}`, one("null m -")},
		{"id true", `{"jsonrpc":"2.0","method":"m","id":true}`, one(badID)},
		{"id an array", `{"jsonrpc":"2.0","method":"m","id":[1]}`, one(badID)},
		{"id an object", `{"jsonrpc":"2.0","method":"m","id":{}}`, one(badID)},

		// §4.2: the params.
		{"params null", `{"jsonrpc":"2.0","method":"m","params":null,"id":1}`, one("1 m -")},
		{"params as they stand", `{"jsonrpc":"2.0","method":"m","params": { "a" : "\u0061" } ,"id":1}`, one(`1 m { "a" : "\u0061" }`)},
		{"params a string", `{"jsonrpc":"2.0","method":"m","params":"p","id":1}`, one("1 " + badParams)},
		{"params a number", `{"jsonrpc":"2.0","method":"m","params":0,"id":1}`, one("1 " + badParams)},
		{"params false", `{"jsonrpc":"2.0","method":"m","params":false,"id":1}`, one("1 " + badParams)},

		// §6: batches.
		{"batch of one", `[{"jsonrpc":"2.0","method":"m","id":1}]`, batch("1 m -")},
		{"batch in order, good and bad", `[{"jsonrpc":"2.0","method":"a","id":1},[],{"jsonrpc":"2.0","method":"b"}]`, batch("1 a -", noObject, "- b -")},
		{"batch at the limit", `[{},{},{}]`, batch("- "+noVersion, "- "+noVersion, "- "+noVersion)},
		{"batch over the limit", `[{},{},{},{}]`, refused(true, "-32600 the batch has 4 items, the limit is 3")},
		{"batch over the limit, bad JSON at its end", `[{},{},{},{}`, refused(true, "-32700 unexpected end, expected ',' or ']'")},

		// RFC 8259: the text.
		{"white space around", " \t\r\n{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n ", one("- m -")},
		{"empty message", ``, refused(false, "-32700 unexpected end, expected a value")},
		{"only white space", " \n", refused(false, "-32700 unexpected end, expected a value")},
		{"byte order mark", "\ufeff{}", refused(false, "-32700 expected a value at byte 0")},
		{"more than one value", `{} {}`, refused(false, "-32700 more than one value at byte 3")},
		{"comma at the end", `[{},]`, refused(true, "-32700 expected a value at byte 4")},
		{"comma at an object's end", `{"a":1,}`, refused(false, "-32700 expected a name at byte 7")},
		{"mismatched brackets", `{"a":[1}}`, refused(false, "-32700 expected ',' or ']' at byte 7")},
		{"control character", "{\"a\":\"\n\"}", refused(false, "-32700 control character in a string at byte 5")},
		{"bad escape", `{"\x":1}`, refused(false, "-32700 invalid escape in a string at byte 1")},
		{"unterminated", `{"a`, refused(false, "-32700 unterminated string at byte 1")},
		{"leading zero", `{"a":01}`, refused(false, "-32700 expected ',' or '}' at byte 6")},
		{"no digit after the point", `{"a":1.}`, refused(false, "-32700 expected a digit at byte 7")},
		{"NaN", `{"a":NaN}`, refused(false, "-32700 expected a value at byte 5")},
		{"half a literal", `{"a":tru}`, refused(false, "-32700 expected true at byte 5")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, parse(tc.msg, maxBatch)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.msg, diff)
			}
		})
	}
}

func TestParseUnversioned(t *testing.T) {
	for msg, want := range map[string]string{
		`{"method":"m","id":1}`:                    "1 m -",
		`{"jsonrpc":"2.0","method":"m","id":1}`:    "1 m -",
		`{"jsonrpc":"1.0","method":"m","id":1}`:    "1 " + noVersion,
		`{"jsonrpc":null,"method":"m","id":1}`:     "1 " + noVersion,
		`{"id":1}`:                                 "1 " + noMethod,
		`[{"method":"m","id":1,"params":{"a":1}}]`: `1 m {"a":1}`,
	} {
		calls, _, err := ParseUnversioned([]byte(msg), 1, nil)
		if err != nil || len(calls) != 1 || describe(calls[0]) != want {
			t.Errorf("%s: %+v, %v", msg, calls, err)
		}
	}
}

// TestParseMessageSpecBatch parses the last example of §7, which has more items than the limit of
// the table.
func TestParseMessageSpecBatch(t *testing.T) {
	got := parse(`[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]`, 64)
	want := batch(`"1" sum [1,2,4]`, `- notify_hello [7]`, `"2" subtract [42,23]`, "- "+noVersion,
		`"5" foo.get {"name": "myself"}`, `"9" get_data -`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	got = parse(`[
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]`, 64)
	want = batch(`- notify_sum [1,2,4]`, `- notify_hello [7]`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseMessageNesting(t *testing.T) {
	nested := func(n int) string {
		return `{"jsonrpc":"2.0","method":"m","params":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	if got := parse(nested(511), 1); got.Err != "" || len(got.Calls) != 1 {
		t.Errorf("512 levels: got %+v", got)
	}
	if got, want := parse(nested(512), 1).Err, "-32700 nesting deeper than 512 at byte 550"; got != want {
		t.Errorf("513 levels: got %q, want %q", got, want)
	}
	if got := parse("["+nested(511)+"]", 1); got.Err == "" {
		t.Errorf("513 levels in a batch: got %+v", got)
	}
	if got := parse(strings.Repeat(`{"a":[`, 1e5), 1); !strings.Contains(got.Err, "nesting deeper than 512") {
		t.Errorf("got %+v", got)
	}
}

func TestParseMessageAppends(t *testing.T) {
	before := []Call{{Method: "before"}}
	calls, _, err := ParseMessage([]byte(`[{"jsonrpc":"2.0","method":"m"}]`), 1, before)
	if err != nil || len(calls) != 2 || calls[0].Method != "before" || calls[1].Method != "m" {
		t.Errorf("got %+v, %v", calls, err)
	}
	if calls, _, err = ParseMessage([]byte(`[{"jsonrpc":"2.0","method":"m"},`), 1, before); err == nil || len(calls) != 1 {
		t.Errorf("got %+v, %v", calls, err)
	}
}

// TestParseMessageAllocatesLittle checks that a megabyte of small values does not become many
// megabytes of memory.
func TestParseMessageAllocatesLittle(t *testing.T) {
	zeros := "[" + strings.Repeat("0,", 1<<19) + "0]"
	calls := make([]Call, 0, 64)
	for name, msg := range map[string]string{
		"batch":   zeros,
		"params":  `{"jsonrpc":"2.0","method":"m","id":1,"params":` + zeros + `}`,
		"objects": `{"jsonrpc":"2.0","method":"m","id":1,"params":[` + strings.Repeat(`{"a":{}},`, 1e5) + `0]}`,
		"names":   `{` + strings.Repeat(`"\u006d":0,`, 1e5) + `"jsonrpc":"2.0","method":"m","id":1}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ParseMessage([]byte(msg), 64, calls)
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc-before.TotalAlloc) - len(msg); n > 128<<10 { // the conversion copies msg
			t.Errorf("%s: %d bytes for a message of %d", name, n, len(msg))
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, msg := range []string{
		`{"jsonrpc":"2.0","method":"execute","params":{"command":["a","b"],"timeout":1.5e3},"id":"x"}`,
		`[{"jsonrpc":"2.0","\u006dethod":"m","id":-0.5},1,null,true,[[]],{}]`, `{"result":null,"err\u006fr":{},"id":1}`,
		` [ { "id" : 1e400 , "params" : null } ] `, `[]`, `{"a":[1}}`, `{"a":"\ud800"}`, "\ufeff{}", `-`, `[1,]`, `{"":0`,
	} {
		f.Add([]byte(msg))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		const maxBatch = 4
		original := bytes.Clone(msg)
		calls, batch, err := ParseMessage(msg, maxBatch, nil)
		if !bytes.Equal(original, msg) {
			t.Fatal("the message was changed")
		}
		if err != nil && strings.Contains(err.Reason, "nesting deeper than") {
			return
		}
		if valid := err == nil || !err.Syntax; valid != json.Valid(msg) {
			t.Fatalf("%q: error %v, json.Valid %v", msg, err, !valid)
		}
		if err != nil {
			if len(calls) > 0 {
				t.Errorf("%d calls and error %v", len(calls), err)
			}
			return
		}
		if want := bytes.TrimLeft(msg, " \t\r\n")[0] == '['; batch != want || len(calls) == 0 || len(calls) > maxBatch || !batch && len(calls) != 1 {
			t.Errorf("%q: %d calls, batch %v", msg, len(calls), batch)
		}
		for _, c := range calls {
			checkCall(t, c)
		}
		if !batch && utf8.Valid(msg) {
			checkSameAsUnmarshal(t, msg, calls[0])
		}
	})
}

// checkCall checks what holds for every call.
func checkCall(t *testing.T, c Call) {
	t.Helper()
	if c.ID != nil && (!json.Valid(c.ID) || bytes.ContainsAny(c.ID[:1], "[{tf")) {
		t.Errorf("id %q", c.ID)
	}
	if c.Params != nil && (!json.Valid(c.Params) || c.Params[0] != '[' && c.Params[0] != '{') {
		t.Errorf("params %q", c.Params)
	}
	if c.Err != nil && (c.Err.Syntax || c.Method != "" || c.Params != nil) {
		t.Errorf("call %+v has error %v and a method or params", c, c.Err)
	}
}

// checkSameAsUnmarshal compares a single call with what encoding/json makes of the message: a map,
// whose keys are exact and whose last value of a key counts.
func checkSameAsUnmarshal(t *testing.T, msg []byte, c Call) {
	t.Helper()
	var object map[string]json.RawMessage
	if json.Unmarshal(msg, &object) != nil || object == nil {
		if c.Err == nil {
			t.Errorf("%q is no object, got %+v", msg, c)
		}
		return
	}
	if c.Response {
		if object["method"] != nil || object["result"] == nil && object["error"] == nil {
			t.Errorf("%q is no response", msg)
		}
		return
	}
	var version, method string
	ok := json.Unmarshal(object["jsonrpc"], &version) == nil && version == "2.0" &&
		json.Unmarshal(object["method"], &method) == nil && object["method"][0] == '"' &&
		!bytes.ContainsAny(object["id"][:min(1, len(object["id"]))], "[{tf")
	if p := object["params"]; p != nil && !bytes.ContainsAny(p[:1], "[{n") {
		ok = false
	}
	if ok != (c.Err == nil) || ok && c.Method != method {
		t.Errorf("%q: got %+v, %v", msg, c, c.Err)
	}
	if ok && !bytes.Equal(c.ID, object["id"]) {
		t.Errorf("%q: id %q, want %q", msg, c.ID, object["id"])
	}
}

func BenchmarkParseMessage(b *testing.B) {
	zeros := []byte(`{"jsonrpc":"2.0","method":"m","id":1,"params":[` + strings.Repeat("0,", 1<<19) + "0]}")
	for name, msg := range map[string][]byte{
		"execute": []byte(`{"jsonrpc":"2.0","id":17,"method":"execute","params":{"command":"make -j8 test","cwd":"/home/someone/project","env":{"CI":"1"},"timeout":600}}`),
		"write":   writeRequest(lines(64<<10, 80)),
		"zeros":   zeros,
	} {
		b.Run(name, func(b *testing.B) {
			calls := make([]Call, 0, 64)
			b.ReportAllocs()
			ratio(b, len(msg),
				func() { ParseMessage(msg, 64, calls) },
				func() {
					var v struct {
						JSONRPC    string
						Method     string
						ID, Params json.RawMessage
					}
					json.Unmarshal(msg, &v)
				})
		})
	}
}

// writeRequest is a write request that carries data.
func writeRequest(data []byte) []byte {
	msg := AppendQuote([]byte(`{"jsonrpc":"2.0","id":17,"method":"write","params":{"data":`), string(data))
	return append(msg, "}}"...)
}
