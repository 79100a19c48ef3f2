//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

// breakable opens a host whose bwrap executes a script first, once one is set.
func breakable(t *testing.T) (h *Host, program string, set func(script string)) {
	t.Helper()
	real, err := exec.LookPath("bwrap")
	if err != nil {
		skipUnlessRequired(t, "bubblewrap", err)
	}
	dir := t.TempDir()
	program = dir + "/bwrap"
	text := fmt.Sprintf("#!/bin/sh\nif test -e %[1]s/script; then . %[1]s/script; fi\nexec %[2]s \"$@\"\n", dir, real)
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	h = openHostWith(t, Options{Containment: Group, Bubblewrap: program})
	needNamespaces(t, h)
	return h, program, func(script string) {
		t.Helper()
		if err := os.WriteFile(dir+"/script", []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSandboxFails: the error of a sandbox that cannot be made says in which step, and only what is for
// the operator names bwrap and what it has printed.
func TestSandboxFails(t *testing.T) {
	h, program, set := breakable(t)
	start := func(step string, errno syscall.Errno, why ...string) {
		t.Helper()
		p, err := h.Start(sandboxed(sh("true")))
		if err == nil {
			finish(p)
		}
		checkFailed(t, err, step, errno, why...)
	}
	set(`echo it cannot >&2; exit 1`)
	start("making the namespaces", 0, program, "it cannot")
	set(`printf '\001\004\015\000\000\000' >&3`)
	start("starting the holder of the namespaces", syscall.EACCES, program, "listen on 127.0.0.1")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	start("checking that bubblewrap is unchanged", syscall.ESTALE, program)
}

func checkFailed(t *testing.T, err error, step string, errno syscall.Errno, why ...string) {
	t.Helper()
	failed, ok := err.(*SandboxError)
	if !ok || failed.Step != step || failed.Errno != errno {
		t.Errorf("%#v, want %s, %v", err, step, errno)
		return
	}
	for _, part := range why {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %q", err, part)
		}
	}
}

// TestSandboxHangs: who gives up a start that waits for bwrap is told so, and then what bwrap has
// printed.
func TestSandboxHangs(t *testing.T) {
	h, program, set := breakable(t)
	hung := t.TempDir() + "/hung"
	set("echo it waits >&2; : >" + hung + "; exec sleep 1000")
	why := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	a := h.Attempt(sandboxed(sh("true")))
	done := make(chan error)
	go func() {
		_, err := a.Start(ctx)
		done <- err
	}()
	if !proctest.Poll(func() bool { _, err := os.Stat(hung); return err == nil }) {
		t.Error("bwrap was not executed")
	}
	checkFailed(t, a.TimedOut(), "making the namespaces", syscall.ETIMEDOUT)
	cancel(why)
	err := <-done
	if !errors.Is(err, why) {
		t.Errorf("%v does not wrap the cause", err)
	}
	checkFailed(t, err, "making the namespaces", 0, program, "it waits")
}
