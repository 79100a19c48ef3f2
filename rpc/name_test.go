package rpc

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

func TestValidName(t *testing.T) {
	for _, name := range []string{
		"a", "build", "a0_.-", "z" + strings.Repeat("9", 62), "fade0000-0000-4000-8000-00000000000", "fade00000000400080000000000000000",
	} {
		if !ValidName(name) {
			t.Errorf("%q is not valid", name)
		}
	}
	for _, name := range []string{
		"", "A", "0", "-a", ".a", "_a", "a b", "a/b", "aé", "a\n", "a\x00", "a" + strings.Repeat("b", 63),
		"fade0000-0000-4000-8000-000000000000", "fade0000000040008000000000000000", "urn:uuid:fade0000-0000-4000-8000-000000000000",
	} {
		if ValidName(name) {
			t.Errorf("%q is valid", name)
		}
	}
}

// FuzzValidName: names are what the documented pattern describes, except UUIDs.
func FuzzValidName(f *testing.F) {
	for _, name := range []string{"", "a", "a0_.-", "fade0000-0000-4000-8000-000000000000", "a\n"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		_, err := uuid.Parse(name)
		if want := namePattern.MatchString(name) && err != nil; ValidName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	})
}
