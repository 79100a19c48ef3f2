package untildeath

import (
	"slices"
	"strings"
	"testing"
)

// What a keeper is told may come in pieces.
func TestTake(t *testing.T) {
	text := "42 {\"a\": 1}\ng 10 100\ng 11 101\ns 12 102\n- 10\ng 11 111\n- 99\n"
	want := []Group{{12, 102, true}, {11, 111, false}}
	for size := 1; size <= len(text); size++ {
		var w Words
		for piece := range slices.Chunk([]byte(text), size) {
			if !w.Take(piece) {
				t.Fatalf("%q", piece)
			}
		}
		if w.server != 42 || string(w.Charge) != `{"a": 1}` || !slices.Equal(w.Groups, want) {
			t.Errorf("pieces of %d: %+v", size, w)
		}
	}
	for _, text := range []string{strings.Repeat("x", maxCharge+1), "42 {}\n" + strings.Repeat("1", maxLine+1), "42 {}\n\n", "0 {}\n", "{}\n"} {
		if new(Words).Take([]byte(text)) {
			t.Errorf("%.20q passed", text)
		}
	}
}
