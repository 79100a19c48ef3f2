package bubblewrap

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestChangedProgram checks that only the program that was opened is executed, and only if it is as it
// was then.
func TestChangedProgram(t *testing.T) {
	content, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(path string) error{
		"unchanged": func(string) error { return nil },
		"renamed": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
		},
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", content, 0o755), os.Rename(path+".new", path))
		},
		"written": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(path, content, 0o755), os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			path := dir + "/bwrap"
			if err := os.WriteFile(path, content, 0o755); err != nil {
				t.Fatal(err)
			}
			p, err := OpenProgram(path)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			c := basic(t)
			c.Program = p
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			n, err := Start(context.Background(), c, noMarks)
			if err == nil {
				n.Close()
			}
			if changed := errors.Is(err, errChanged) && errors.Is(err, unix.ESTALE); changed == (name == "unchanged") || !changed && err != nil {
				t.Error(err)
			}
		})
	}
}
