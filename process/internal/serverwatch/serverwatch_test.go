package serverwatch

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAcceptsPieces(t *testing.T) {
	text := "42 {\"a\": 1}\ng 10 100\ng 11 101\ns 12 102\n- 10\ng 11 111\n- 99\n"
	want := []Group{{12, 102, true}, {11, 111, false}}
	for size := 1; size <= len(text); size++ {
		var s State
		for piece := range slices.Chunk([]byte(text), size) {
			if !s.Parse(piece) {
				t.Fatalf("Parse(%q) = false", piece)
			}
		}
		if s.server != 42 || string(s.Config) != `{"a": 1}` || !slices.Equal(s.Groups, want) {
			t.Errorf("in pieces of %d bytes: %+v", size, s)
		}
	}
}

func TestParseRejectsMalformedInput(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", maxConfig+1), "42 {}\n" + strings.Repeat("1", maxLine+1), "42 {}\n\n", "0 {}\n", "{}\n"} {
		if new(State).Parse([]byte(text)) {
			t.Errorf("Parse(%.20q) = true", text)
		}
	}
}
