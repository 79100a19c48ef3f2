package landlock

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// BenchmarkRuleset makes a ruleset with one writable directory, and one with a secret beside a number
// of files.
func BenchmarkRuleset(b *testing.B) {
	dir := b.TempDir()
	make := func(b *testing.B, c *sandbox.Config, o Options) {
		for b.Loop() {
			fd, err := Ruleset(c, o)
			if err != nil {
				b.Fatal(err)
			}
			_ = unix.Close(fd)
		}
	}
	w := sandbox.Rule{Path: dir, Access: sandbox.Write}
	b.Run("inside", func(b *testing.B) { make(b, shared(w), Options{Inside: true}) })
	b.Run("alone", func(b *testing.B) { make(b, shared(w), Options{}) })
	for _, siblings := range []int{100, 1000, 3000} {
		many := filepath.Join(dir, fmt.Sprint(siblings))
		if err := os.MkdirAll(filepath.Join(many, "secret"), 0o700); err != nil {
			b.Fatal(err)
		}
		for i := range siblings {
			if err := os.WriteFile(filepath.Join(many, fmt.Sprint(i)), nil, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		c := shared(sandbox.Rule{Path: many, Access: sandbox.Read}, sandbox.Rule{Path: filepath.Join(many, "secret"), Access: sandbox.None})
		c.FilesDefault = sandbox.None
		b.Run(fmt.Sprintf("siblings=%d", siblings), func(b *testing.B) { make(b, c, Options{}) })
	}
}

// BenchmarkRestrict applies a ruleset.
func BenchmarkRestrict(b *testing.B) {
	fd, err := Ruleset(shared(sandbox.Rule{Path: b.TempDir(), Access: sandbox.Write}), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	for b.Loop() {
		b.StopTimer() // a thread may be restricted 16 times only
		proctest.OnThread(func() {
			if err := enter(nil, -1); err != nil {
				b.Error(err)
			}
			b.StartTimer()
			if errno := Restrict(fd); errno != 0 {
				b.Error(errno)
			}
			b.StopTimer()
		})
		b.StartTimer()
	}
}
