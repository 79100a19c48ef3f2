package screen_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/session/screen"
)

// TestPlainFitsIntoAMessage: with the least detail, a screen fits into a message whatever its size, its characters and
// its tab stops are, and a terminal that shows it has the same paint.
func TestPlainFitsIntoAMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: too slow with the race detector")
	}
	const message = 1<<20 - 1<<10 // with room for the other members
	for _, size := range [][2]int{{1, 65535}, {65535, 1}, {50_000, 2}, {1000, 100}, {100_000, 1}} {
		rows, cols := size[0], size[1]
		for _, c := range []struct{ name, row string }{
			{"full", strings.Repeat("<", cols)},
			{"characters of four bytes", strings.Repeat("\U0001d400", cols)},
			{"every second cell", strings.Repeat("\x1b[C<", cols/2)},
			{"every sixth cell", strings.Repeat("\x1b[5C<", cols/6)},
			{"last cell", fmt.Sprintf("\x1b[%dC<", cols)},
			{"blank", ""},
		} {
			s, err := screen.New(rows, cols)
			if err != nil {
				t.Fatal(err)
			}
			write := func(text string) {
				if _, err := s.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			write("\x1b[?7l")
			for range cols {
				write("\x1bH\x1b[C")
			}
			for y := range rows {
				write("\r" + c.row)
				if y < rows-1 {
					write("\n")
				}
			}
			write("\x1b]2;" + strings.Repeat("<", 1024) + "\a\x1b]2;" + strings.Repeat("<", 4000))
			paint := s.Paint(screen.Plain)
			if text, _ := json.Marshal(paint); len(text) > message {
				t.Errorf("%d x %d, %s: %d bytes of JSON", rows, cols, c.name, len(text))
			}
			if max(rows, cols) > 65535 { // no terminal has this size, and no sequence moves there
				continue
			}
			again, _ := screen.New(rows, cols)
			if _, err := again.Write([]byte(paint)); err != nil || again.Paint(screen.Plain) != paint {
				t.Errorf("%d x %d, %s: the paint shows something else, %v", rows, cols, c.name, err)
			}
		}
	}
}

// TestPlainShowsTheCharacters: with the least detail, tmux shows the same characters as with full detail.
func TestPlainShowsTheCharacters(t *testing.T) {
	files, err := filepath.Glob("testdata/*x*")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	leftOut := regexp.MustCompile(`<[^>]*>|\p{Mn}`) // styles, combining characters
	m := newTmux(t)
	for _, file := range files {
		var rows, cols int
		_, size, _ := strings.Cut(file, ".")
		if _, err := fmt.Sscanf(size, "%dx%d", &rows, &cols); err != nil {
			t.Fatal(err)
		}
		output, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := screen.New(rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(output[:len(output)/2]); err != nil {
			t.Fatal(err)
		}
		show := func(text string) string { return leftOut.ReplaceAllString(m.show(rows, cols, text), "") }
		if want, got := show(s.Paint(screen.Full)), show(s.Paint(screen.Plain)); got != want {
			t.Errorf("%s:\n%s", file, diff(want, got))
		}
	}
}
