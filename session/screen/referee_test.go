package screen_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/session/screen"
)

// paint returns the paint of a terminal of a size after output.
func paint(t testing.TB, rows, cols int, output string) string {
	t.Helper()
	s, err := screen.New(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte(output)); err != nil {
		t.Fatal(err)
	}
	return s.Paint(screen.Full)
}

// The paint of each prefix of what real programs have written makes tmux show what the prefix makes it show.
func TestPaintsAreWhatTmuxShows(t *testing.T) {
	files, err := filepath.Glob("testdata/*x*")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			var rows, cols int
			_, size, _ := strings.Cut(file, ".")
			if _, err := fmt.Sscanf(size, "%dx%d", &rows, &cols); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			output := string(b)
			m := newTmux(t)
			steps := 8
			if os.Getenv("RUNNEL_TEST_FULL") != "" {
				steps = 40
			}
			for i := range steps {
				end := len(output) * (i + 1) / steps
				for end < len(output) && !utf8.RuneStart(output[end]) { // the log ends with whole characters
					end++
				}
				prefix := output[:end]
				want, got := m.show(rows, cols, prefix), m.show(rows, cols, paint(t, rows, cols, prefix))
				if got != want {
					t.Errorf("after %d bytes, which end in %q:\n%s", end, prefix[max(0, end-60):], diff(want, got))
				}
			}
		})
	}
}

// diff returns the lines that differ.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for i := range max(len(w), len(g)) {
		line := func(all []string) string {
			if i < len(all) {
				return all[i]
			}
			return "(none)"
		}
		if line(w) != line(g) {
			fmt.Fprintf(&b, "line %d\n want %q\n  got %q\n", i, line(w), line(g))
		}
	}
	return b.String()
}
