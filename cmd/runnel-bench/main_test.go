//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testDir has the binary of all tests.
var testDir string

func TestMain(m *testing.M) {
	runRole()
	var err error
	if testDir, err = os.MkdirTemp("", "runnel-bench-test"); err != nil {
		panic(err)
	}
	status := m.Run()
	_ = os.RemoveAll(testDir)
	os.Exit(status)
}

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(testDir, "runnel")
	return path, build(context.Background(), path)
})

// testedBinary returns the path of the program, built from this tree.
func testedBinary(t *testing.T) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"-only=true,idle", "-quick"})
	if err != nil || !slices.Equal(o.names(), []string{"true", "idle"}) || !o.quick {
		t.Error(o, err)
	}
	if o, err = parseOptions(nil); err != nil || !slices.Equal(o.names(), names()) {
		t.Error(o, err)
	}
	for _, args := range [][]string{{"-only=nothing"}, {"x"}, {"-write=page", "-quick"}, {"-write=page", "-only=true"}, {"-write=page", "-against=x"}} {
		if _, err := parseOptions(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

// TestRun runs two measurements from the command line, with the binary of this tree as both programs.
func TestRun(t *testing.T) {
	bin := testedBinary(t)
	t.Setenv("TMPDIR", t.TempDir())
	var out strings.Builder
	if err := run(t.Context(), []string{"-quick", "-only=allocations,first", "-server", bin, "-against", bin}, &out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool {
		return strings.HasPrefix(line, " ") // what others did
	})
	if len(lines) != 3 || !strings.Contains(lines[0], "against") || !strings.HasPrefix(lines[1], "bytes allocated per byte of output") {
		t.Error(text)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}
