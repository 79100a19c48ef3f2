package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func TestParseTokens(t *testing.T) {
	text := fmt.Sprintf(`# managed by runnel token
[[token]]
name = "alice"
sha256 = "%s"

[[token]]
name = "alice"
sha256 = "%s"
role = "observe"
expires = 2030-01-02T03:04:05Z
`, hash("a"), strings.ToUpper(hash("b")))
	all, err := ParseTokens("f", []byte(text))
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	if x := all[0]; x.Name != "alice" || x.SHA256 != sha256.Sum256([]byte("a")) || x.Role != access.Run || !x.Expires.IsZero() {
		t.Errorf("%+v", x)
	}
	if x := all[1]; x.Role != access.Observe || !x.Expires.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", x)
	}
	if all, err := ParseTokens("f", nil); len(all) != 0 || err != nil {
		t.Errorf("an empty file: %v, %v", all, err)
	}
}

// TestFileErrors: an error names the file, the line and the field.
func TestFileErrors(t *testing.T) {
	good := fmt.Sprintf("[[token]]\nname = \"a\"\nsha256 = %q\n", hash("a"))
	many := &strings.Builder{}
	for i := range MaxTokens + 1 {
		fmt.Fprintf(many, "[[token]]\nname = \"a\"\nsha256 = %q\n", hash(fmt.Sprint(i)))
	}
	for text, want := range map[string]string{
		"[[token]]\nnam = 1\n":                       "f:2: token.nam: unknown field",
		good + "[[token]]\nname = \"a/b\"\n":         "f:4: token.name: ",
		good + "[[token]]\n":                         "f:4: token.name: ",
		good + "[[token]]\nname = 7\n":               "f:5: token.name: ",
		good + good:                                  "f:4: token.sha256: occurs twice",
		good + "role = \"root\"":                     `f:4: token.role: unknown role "root"`,
		good + "expires = \"never\"":                 "f:4: token.expires: ",
		"[[token]]\nname = \"a\"\nsha256 = \"00":     "f:3: ",
		"[[token]]\nname = \"a\"\nsha256 = \"00\"\n": "f:1: token.sha256: must be",
		strings.Repeat("#", MaxTokenFileBytes+1):     "f: is larger than",
		many.String():                                "f: has more than 4096 tokens",
		"token = [{name = \"a\", sha256 = \"0\"}]\n": "f: token.sha256: must be",
	} {
		_, err := ParseTokens("f", []byte(text))
		if _, ok := errors.AsType[*tomlfile.Error](err); !ok || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.100q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add(fmt.Sprintf("[[token]]\nname = \"a\"\nsha256 = %q\nrole = \"admin\"\nexpires = 2030-01-01T00:00:00Z\n", hash("a")))
	f.Add("token = [{name = \"a\"}]\n[[token]]\n[token.x]\n[['token']]")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseTokens("f", []byte(text))
		if err != nil {
			if _, ok := errors.AsType[*tomlfile.Error](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		for _, token := range all {
			if access.ValidPrincipal(token.Name) != nil || token.Role > access.Admin {
				t.Errorf("%+v", token)
			}
		}
		for _, x := range tablesOf([]byte(text)) {
			if x.start < 0 || x.start >= x.end || x.end > len(text) || !strings.Contains(text[x.start:x.end], "[[") {
				t.Errorf("%+v", x)
			}
		}
	})
}
