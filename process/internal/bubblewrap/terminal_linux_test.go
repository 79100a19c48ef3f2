package bubblewrap

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTerminal checks that Start passes the file ptmx of the sandbox, and returns an error unchanged.
func TestTerminal(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		var own, inside unix.Stat_t
		_ = unix.Stat("/dev/pts", &own)
		c.Terminal = func(ptmx int) error { return unix.Fstat(ptmx, &inside) }
		n := mustStart(t, c)
		if inside.Rdev != unix.Mkdev(5, 2) || inside.Dev == own.Dev {
			t.Errorf("%+v", inside)
		}
		if got := n.sh(t, "stat -c %d /dev/pts/ptmx"); got != strconv.FormatUint(inside.Dev, 10) {
			t.Errorf("%s inside, want %d", got, inside.Dev)
		}
		want := errors.New("no terminal")
		c.Terminal = func(int) error { return want }
		if n, err := Start(context.Background(), c, noMarks); err != want {
			t.Errorf("%v, %v", n, err)
		}
	})
}

// TestTerminalsOfMachine checks that a bwrap that mounts the terminals of the machine is noticed.
func TestTerminalsOfMachine(t *testing.T) {
	bwrap := program(t)
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	path := filepath.Join(t.TempDir(), "bwrap")
	script := "#!/usr/bin/env bash\n" + // --args FD has the other arguments
		`exec {args}< <(cat <&"$2"; printf '%s\0' --dev-bind /dev/pts /dev/pts)` + "\n" +
		`shift 2; exec ` + bwrap + ` --args "$args" "$@"` + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newConfig(t, path, !support(bwrap).Plain)
	c.Terminal = func(int) error { return nil }
	n, err := Start(context.Background(), c, noMarks)
	if err == nil {
		n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "no instance of devpts") {
		t.Error(err)
	}
}
