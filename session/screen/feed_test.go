package screen_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/screen"
)

// equal fails the test if a feed has another screen than output that is written to a new terminal.
func equal(t *testing.T, f *screen.Feed, sizes []screen.Size, rows, cols int, output string) {
	t.Helper()
	s, err := f.Screen(sizes)
	if err != nil {
		t.Fatal(err)
	}
	if r, c := s.Size(); r != rows || c != cols {
		t.Errorf("%d rows, %d columns", r, c)
	}
	if got, want := s.Paint(screen.Full), paint(t, rows, cols, output); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFeedResizesWhereTheTerminalWas(t *testing.T) {
	var f screen.Feed
	f.Add(1, []byte("0123456789ABC"))
	f.Add(20, []byte("XY"))
	sizes := []screen.Size{{Seq: 0, Rows: 4, Cols: 10}, {Seq: 11, Rows: 4, Cols: 20}, {Seq: 21, Rows: 3, Cols: 12}, {Seq: 99, Rows: 2, Cols: 5}}
	equal(t, &f, sizes[:2], 4, 20, "0123456789ABCXY") // the line of 10 is full when the terminal gets wider
	equal(t, &f, sizes[:3], 3, 12, "0123456789AY")
	equal(t, &f, sizes, 2, 5, "01234\r\x1b[4C")
}

func TestFeedShrinks(t *testing.T) {
	var f screen.Feed
	f.Add(0, []byte("1\r\n2\r\n3\r\n4\r\n5"))
	equal(t, &f, []screen.Size{{Rows: 5, Cols: 10}, {Seq: 50, Rows: 3, Cols: 10}}, 3, 10, "3\r\n4\r\n5")
	equal(t, &f, []screen.Size{{Rows: 9, Cols: 10}, {Seq: 50, Rows: 6, Cols: 10}}, 6, 10, "1\r\n2\r\n3\r\n4\r\n5")
	var wide screen.Feed
	wide.Add(0, []byte("日本語\x1b[1;1H"))
	equal(t, &wide, []screen.Size{{Rows: 2, Cols: 10}, {Seq: 50, Rows: 2, Cols: 3}}, 2, 3, "日\x1b[1;1H")
}

func TestFeedInTheMiddle(t *testing.T) {
	for _, c := range []struct{ output, like string }{
		{"5;1Hx\r\ny", "\ny"},
		{"\x97\xa5\xe6\x9c\xac", "本"},
		{"8;5;1mred\x1b[1mbold", "\x1b[1mbold"},
		{"tle\x07text", "text"},
		{"x\x1b[Hx\x1b[?1049lback", "\x1b[?1049h\x1b[Hx\x1b[?1049lback"},
		{"x\x1b[?1049hin", "\x1b[?1049hin"},
	} {
		var f screen.Feed
		f.Add(0, []byte("forgotten"))
		f.Middle()
		f.Add(100, []byte(c.output))
		equal(t, &f, []screen.Size{{Rows: 4, Cols: 20}}, 4, 20, c.like)
	}
}

func TestFeedOfNothing(t *testing.T) {
	equal(t, new(screen.Feed), []screen.Size{{Rows: 4, Cols: 20}}, 4, 20, "")
}

func TestTooLarge(t *testing.T) {
	var tooLarge *screen.TooLargeError
	if _, err := screen.New(1000, 100); err != nil {
		t.Error(err)
	}
	for _, size := range [][2]int{{1000, 101}, {65535, 65535}, {1, 100_001}} {
		if _, err := screen.New(size[0], size[1]); !errors.As(err, &tooLarge) {
			t.Errorf("%v: %v", size, err)
		}
	}
	f := new(screen.Feed)
	f.Add(0, []byte("\x1b[65535;65535Hx\x1b[1;1Hy"))
	if _, err := f.Screen([]screen.Size{{Rows: 1000, Cols: 101}}); !errors.As(err, &tooLarge) {
		t.Error(err)
	}
	// Of an earlier size only what fits is kept.
	equal(t, f, []screen.Size{{Rows: 65535, Cols: 65535}, {Seq: 50, Rows: 2, Cols: 10}}, 2, 10, "y")
}

// Output that is made to take long is given up in a bounded time.
func TestExcessiveWork(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: too slow with the race detector")
	}
	square, tall, wide := screen.Size{Rows: 100, Cols: 1000}, screen.Size{Rows: 65535, Cols: 1}, screen.Size{Rows: 1, Cols: 65535}
	for name, c := range map[string]struct {
		unit    string
		slowest screen.Size
	}{
		"repeat":          {"a\x1b[999999999b", wide},
		"clear":           {"\x1b[44m\x1b[2J\x1b[45m\x1b[2J", tall},
		"align":           {"\x1b#8", square},
		"insert lines":    {"\x1b[99999L", tall},
		"scroll":          {"\x1b[99999S\x1b[99999T", tall},
		"insert":          {"\x1b[H\x1b[44m\x1b[99999@\x1b[0m\x1b[P", wide},
		"erase":           {"\x1b[41m\x1b[3G\x1b[K\x1b[0m\x1b[K", wide},
		"lines":           {"\n", tall},
		"reverse":         {"\x1b[H\x1bM", tall},
		"alternate":       {"\x1b[?1049h\x1b[?1049l", tall},
		"reset":           {"\x1bc", tall},
		"tabs":            {"\x1b[3g\t\x1b[Z", square},
		"parameters":      {"\x1b[1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9m", square},
		"modes":           {"\x1b[?1;2;3;4;5;6;7;47;1047;1049;47;1047;1049h\x1b[?1049l", tall},
		"combining":       {"a" + strings.Repeat("\u0301", 100), wide},
		"string":          {"\x1bP" + strings.Repeat("x", 1<<20), square},
		"title":           {"\x1b]2;" + strings.Repeat("x", 1<<20), square},
		"parameter bytes": {"\x1b[" + strings.Repeat("1;", 1<<19), square},
	} {
		unit, sizes := c.unit, []screen.Size{c.slowest}
		if os.Getenv("RUNNEL_TEST_FULL") != "" {
			sizes = []screen.Size{square, tall, wide}
		}
		for _, size := range sizes {
			var f screen.Feed
			f.Add(0, []byte(strings.Repeat(unit, 1+screen.MaxFeed/len(unit))))
			begin := time.Now()
			s, err := f.Screen([]screen.Size{size})
			if err != nil && !errors.Is(err, screen.ErrTooMuchWork) {
				t.Errorf("%s: %v", name, err)
			}
			n := 0
			if err == nil {
				n = len(s.Paint(screen.Plain))
			}
			took := time.Since(begin)
			t.Logf("%s, %d rows: %v, %v, %d bytes", name, size.Rows, took, err, n)
			if took > time.Minute { // a second or two, but for the race detector and other tests
				t.Errorf("%s, %d rows: took %v", name, size.Rows, took)
			}
		}
	}
}

// TestRepeatIsBounded: a single sequence does not do more work than a screen may take.
func TestRepeatIsBounded(t *testing.T) {
	s, err := screen.New(1, 65535)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("\x1b[4ha\x1b[65535b")); !errors.Is(err, screen.ErrTooMuchWork) {
		t.Errorf("the error is %v", err)
	}
}

// TestDefaultsOfTheTerminal: a paint leaves modes alone whose default is a choice of the user, unless the
// program has set them.
func TestDefaultsOfTheTerminal(t *testing.T) {
	s, err := screen.New(2, 10)
	if err != nil {
		t.Fatal(err)
	}
	varying := regexp.MustCompile(`\x1b\[\?(12|45|1007)[hl]`)
	if got := varying.FindString(string(s.Paint(screen.Plain))); got != "" {
		t.Errorf("the paint has %q", got)
	}
	if _, err := s.Write([]byte("\x1b[?1007h")); err != nil {
		t.Fatal(err)
	}
	if got := varying.FindAllString(string(s.Paint(screen.Plain)), -1); len(got) != 1 || got[0] != "\x1b[?1007h" {
		t.Errorf("the paint has %q", got)
	}
}

// TestMemoryOfSizes: rows do not keep the memory that they had in a wider screen.
func TestMemoryOfSizes(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := screen.New(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for cols := 50_000; cols > 200; cols = cols * 9 / 10 {
		s.Resize(screen.MaxCells/cols, cols)
		if _, err := fmt.Fprintf(s, "\x1b[999;1H%s\r\n", strings.Repeat("x", cols)); err != nil {
			t.Fatal(err)
		}
	}
	s.Resize(50_000, 2)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 8<<20 {
		t.Errorf("%d KiB are kept", kept>>10)
	}
	runtime.KeepAlive(s)
}
