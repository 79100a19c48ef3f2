package tomlfile

import (
	"errors"
	"strings"
	"testing"
)

type sample struct {
	Name  string `toml:"name"`
	Table []struct {
		Role string `toml:"role"`
	} `toml:"table"`
	Set map[string]string `toml:"set"`
}

func isSet(path string) bool { return path == "set" }

// TestDecode: unknown keys, keys in upper case and errors of the syntax name the file, the line and
// the key. Keys that are names may be in upper case.
func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"name = \"a\"\n[[table]]\nrole = \"b\"\n[set]\nX = \"y\"": "",
		"nam = 1":                               "f:1: nam: unknown field",
		"[[table]]\nrole = \"a\"\nx = 1":        "f:3: table.x: unknown field",
		"[[table]]\nRole = \"a\"\nrole = \"b\"": "f:2: table[0].Role: unknown field: fields are in lower case",
		"NAME = \"a\"":                          "f:1: NAME: unknown field: fields are in lower case",
		"name = 1":                              "f:1: name: ",
		"name = ":                               "f:1: ",
	} {
		_, err := Decode("f", []byte(text), new(sample), isSet)
		switch {
		case want == "" && err == nil:
		case want == "" || err == nil || !strings.HasPrefix(err.Error(), want):
			t.Errorf("%q: %v, want %s", text, err, want)
		default:
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%q: the error is a %T", text, err)
			}
		}
	}
}

// TestErrorsAreBounded: a file with many errors does not make a message without a bound.
func TestErrorsAreBounded(t *testing.T) {
	var unknown, upper strings.Builder
	for i := range 10 * MaxErrors {
		unknown.WriteString("x" + strings.Repeat("y", i) + " = 1\n")
		upper.WriteString("[[Table]]\n")
	}
	for _, text := range []string{unknown.String(), upper.String()} {
		_, err := Decode("f", []byte(text), new(sample), nil)
		if n := strings.Count(err.Error(), "\n") + 1; n != MaxErrors {
			t.Errorf("%d errors", n)
		}
	}
}

// TestLines: a key without a line of its own has that of the part of its path that has one.
func TestLines(t *testing.T) {
	lines, err := Decode("f", []byte("name = \"a\"\n\n[[table]]\nrole = \"b\"\n[[table]]\n[set]\n\"a b\" = \"c\"\n"), new(sample), isSet)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{
		"name": 1, "table[0]": 3, "table[0].role": 4, "table[1].role": 5, "set." + QuoteKey("a b"): 7, "other": 0,
	} {
		if got := lines.Of(key); got != want {
			t.Errorf("%s is in line %d, want %d", key, got, want)
		}
	}
}
