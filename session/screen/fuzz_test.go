package screen_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/screen"
)

// The paint of a paint is the same paint, whatever the output was, also after a change of the size.
func FuzzPaint(f *testing.F) {
	files, _ := filepath.Glob("testdata/*x*")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(24), byte(80), byte(10), byte(40))
	}
	for _, x := range sequences {
		f.Add([]byte(x), byte(6), byte(20), byte(3), byte(9))
	}
	f.Fuzz(func(t *testing.T, output []byte, rows, cols, newRows, newCols byte) {
		begin := time.Now()
		s, err := screen.New(int(rows)+1, int(cols)+1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(output); errors.Is(err, screen.ErrTooMuchWork) {
			t.Skip()
		}
		checkFixedPoint(t, s)
		s.Resize(int(newRows)+1, int(newCols)+1)
		checkFixedPoint(t, s)
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func checkFixedPoint(t *testing.T, s *screen.Screen) {
	t.Helper()
	for _, detail := range screen.Details {
		first := s.Paint(detail)
		again, err := screen.New(s.Size())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Write([]byte(first)); err != nil {
			t.Fatal(err)
		}
		if second := again.Paint(detail); second != first {
			t.Errorf("detail %d: the paint\n%q\nhas the paint\n%q", detail, first, second)
		}
	}
}
