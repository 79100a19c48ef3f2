//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// eachGate runs f with both start gates.
func eachGate(t *testing.T, f func(t *testing.T, h *Host)) {
	for name, untraced := range map[string]bool{"traced": false, "step": true} {
		t.Run(name, func(t *testing.T) {
			h := openHost(t, Auto)
			h.preparer.(*limiter).untraced = untraced
			f(t, h)
		})
	}
}

// limited returns spec with limits.
func limited(spec Spec, l Limits) Spec {
	spec.Limits = l
	return spec
}

// runOn runs spec to its end and returns its output and exit.
func runOn(t *testing.T, h *Host, spec Spec) (string, Exit) {
	t.Helper()
	p := startOn(t, h, spec)
	out, err := readAll(p.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	if p.Stderr() == nil { // it is merged
	} else if text, _ := readAll(p.Stderr()); text != "" {
		t.Logf("standard error: %.500s", text)
	}
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, err := p.Reap()
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	return out, exit
}

// TestLimitsApplyFromFirstInstruction checks that the program and its children have the limits, and
// that later commands do not.
func TestLimitsApplyFromFirstInstruction(t *testing.T) {
	const print = `ulimit -n; ulimit -Hn; ulimit -t; ulimit -f`
	eachGate(t, func(t *testing.T, h *Host) {
		plain, _ := runOn(t, h, sh(print))
		out, exit := runOn(t, h, limited(sh(print+"; sh -c '"+print+"'"), Limits{OpenFiles: 77, CPUSeconds: 50, FileBytes: 1 << 20}))
		const want = "77\n77\n50\n2048\n"
		if out != want+want || exit.Code != 0 {
			t.Errorf("output %q, exit %+v", out, exit)
		}
		files := strings.SplitAfter(plain, "\n")
		if out, _ := runOn(t, h, limited(sh(print), Limits{CPUSeconds: 50})); out != files[0]+files[1]+"50\n"+files[3] {
			t.Errorf("output %q with one limit, %q without limits", out, plain)
		}
		if after, _ := runOn(t, h, sh(print)); after != plain {
			t.Errorf("output %q of a later command without limits, %q before", after, plain)
		}
	})
}

// TestErrorsOfGate checks the errors for programs that cannot be executed, and that no process is
// left.
func TestErrorsOfGate(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	eachGate(t, func(t *testing.T, h *Host) {
		before := len(children())
		for path, want := range map[string]syscall.Errno{"/no/such/program": syscall.ENOENT, "/etc/passwd": syscall.EACCES, text: syscall.ENOEXEC} {
			_, err := h.Start(limited(Spec{Argv: []string{path}, Env: testEnv}, Limits{OpenFiles: 50}))
			e, ok := errors.AsType[*SpawnError](err)
			if !ok || e.Errno != want || e.Path != path {
				t.Errorf("%s: error %v, want %v", path, err, want)
			}
		}
		if now := children(); len(now) > before {
			t.Errorf("%d children before, %v after", before, now)
		}
	})
}

// TestGateKeepsEnvironment checks that a program with limits has the same terminal, working
// directory, descriptors and process group as without.
func TestGateKeepsEnvironment(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		dir := t.TempDir()
		spec := limited(onTerminal(Spec{Argv: []string{"sh", "-c", "pwd; stty size; ls /proc/self/fd | wc -l; ps -o pgid= -p $$ | grep -w $$ >/dev/null && echo leads"}, Dir: dir, Env: testEnv}), Limits{OpenFiles: 64})
		p := startOn(t, h, spec)
		out, err := readAll(p.Stdout())
		spec.Limits = nil
		want, _ := readAll(startOn(t, h, spec).Stdout())
		if out != want || err != nil || !strings.HasPrefix(out, dir+"\r\n24 80\r\n") || !strings.HasSuffix(out, "leads\r\n") {
			t.Errorf("output %q, %v, without limits %q", out, err, want)
		}
	})
}

func TestCPUSeconds(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		t.Parallel()
		l := Limits{CPUSeconds: 1}
		if _, exit := runOn(t, h, limited(sh("while :; do :; done"), l)); exit.Signal != syscall.SIGXCPU || exit.Limit != CPUSeconds {
			t.Errorf("exit %+v", exit)
		}
		if _, exit := runOn(t, h, limited(sh("trap '' XCPU; while :; do :; done"), l)); exit.Signal != syscall.SIGKILL || exit.Limit != CPUSeconds {
			t.Errorf("with SIGXCPU ignored: %+v", exit)
		}
	})
}

// TestSignalIsNotReportedAsALimit checks that a signal which the kernel sends at a limit is not
// attributed to the limit if another process has sent it.
func TestSignalIsNotReportedAsALimit(t *testing.T) {
	h := openHost(t, Auto)
	for _, sig := range []string{"XCPU", "KILL"} {
		_, exit := runOn(t, h, limited(sh("kill -"+sig+" $$"), Limits{CPUSeconds: 1}))
		if exit.Signal == 0 || exit.Limit != "" {
			t.Errorf("%s: %+v", sig, exit)
		}
	}
}

func TestFileBytes(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		file := filepath.Join(t.TempDir(), "file")
		_, exit := runOn(t, h, limited(sh("exec head -c 100000 /dev/zero >"+file), Limits{FileBytes: 1000}))
		info, err := os.Stat(file)
		if err != nil || info.Size() != 1000 || exit.Signal != syscall.SIGXFSZ || exit.Limit != FileBytes {
			t.Errorf("exit %+v, file %v, %v", exit, info, err)
		}
	})
}

// needs skips the test if a limit cannot be enforced, unless that is required, and returns its
// mechanism.
func needs(t *testing.T, h *Host, name Limit) Mechanism {
	t.Helper()
	enforced, err := h.Enforce(Limits{name: 1 << 20})
	if err != nil {
		skipUnlessRequired(t, name, err)
	}
	return enforced[0].By
}

func TestMemoryBytes(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		t.Parallel()
		needs(t, h, MemoryBytes)
		const most = 48 << 20
		const slack = 1 << 20 // the kernel exceeds the limit for pages that must not fail, and for those of a process that is being killed
		_, exit := runOn(t, h, limited(Spec{Argv: []string{"tail", "/dev/zero"}, Env: testEnv}, Limits{MemoryBytes: most}))
		if exit.Signal != syscall.SIGKILL || exit.Limit != MemoryBytes || exit.MaxRSS > most+slack || exit.MaxRSS < most/2 {
			t.Errorf("exit %+v", exit)
		}
		// The processes exceed the limit together, none does alone.
		out, exit := runOn(t, h, limited(sh(`for i in 1 2 3; do head -c 30000000 /dev/zero | tail -c 25000000 | (sleep 1; cat >/dev/null) & done; wait; echo out`), Limits{MemoryBytes: most}))
		if exit.Limit != "" || exit.Code != 0 || out != "out\n" {
			t.Errorf("got %+v, output %q; the shell is not to be killed", exit, out)
		}
		if exit.MaxRSS > most+slack || exit.MaxRSS < most/2 {
			t.Errorf("peak memory of the tree: %+v", exit)
		}
		if _, exit := runOn(t, h, limited(sh("kill -KILL $$"), Limits{MemoryBytes: most})); exit.Limit != "" {
			t.Errorf("killed by itself: %+v, want no limit", exit)
		}
	})
}

// TestForkBomb checks that a fork bomb is limited, and that other trees are not affected.
func TestForkBomb(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		needs(t, h, Processes)
		bomb, tag := withTag(limited(Spec{Argv: []string{"bash", "-c", "b() { b | b & }; b; echo lit; sleep 60"}, Env: testEnv}, Limits{Processes: 40}))
		p := startOn(t, h, bomb)
		if !poll(func() bool { return len(aliveWithTag(tag)) >= 20 }) {
			t.Fatalf("%d processes are alive", len(aliveWithTag(tag)))
		}
		for range 5 {
			if out, exit := runOn(t, h, sh("echo fine")); out != "fine\n" || exit.Code != 0 {
				t.Errorf("output %q, exit %+v", out, exit)
			}
		}
		if n := len(aliveWithTag(tag)); n > 40 {
			t.Errorf("%d processes are alive, want at most 40", n)
		}
		_ = p.Kill()
		_ = p.WaitExit()
		if r := p.Sweep(context.Background(), 0); len(r.Survivors) > 0 || len(aliveWithTag(tag)) > 0 {
			t.Errorf("Sweep = %+v, processes %v are alive", r, aliveWithTag(tag))
		}
	})
}

// TestOneProcess checks a limit of one process, which is the program itself.
func TestOneProcess(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		needs(t, h, Processes)
		out, exit := runOn(t, h, limited(Spec{Argv: []string{"/bin/sh", "-c", "echo one; /bin/true; echo two"}, Env: testEnv}, Limits{Processes: 1}))
		if !strings.HasPrefix(out, "one\n") || exit.Signal != 0 || exit.Code == 0 {
			t.Errorf("output %q, exit %+v", out, exit)
		}
	})
}

func TestEnforce(t *testing.T) {
	h := openHost(t, Auto)
	if _, err := (*Host)(nil).Enforce(Limits{MemoryBytes: 1}); err == nil {
		t.Error("a nil Host enforces a memory limit")
	}
	var hard syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &hard)
	_, err := h.Enforce(Limits{OpenFiles: int64(hard.Max) + 1})
	if e, ok := errors.AsType[*LimitError](err); !ok || e.Most != int64(hard.Max) || e.Limit != OpenFiles {
		t.Error(err)
	}
	if h.preparer.(*limiter).mechanism(Processes) != "" {
		_, err := h.Enforce(Limits{Processes: maxProcesses + 1})
		if e, ok := errors.AsType[*LimitError](err); !ok || e.Most != maxProcesses {
			t.Error(err)
		}
		if _, exit := runOn(t, h, limited(sh("exit 5"), Limits{Processes: maxProcesses})); exit.Code != 5 {
			t.Errorf("exit %+v", exit)
		}
	}
	enforced, err := h.Enforce(Limits{OpenFiles: 3, CPUSeconds: 5})
	if err != nil || len(enforced) != 2 || enforced[0] != (EnforcedLimit{CPUSeconds, 5, ByRlimit}) || enforced[1] != (EnforcedLimit{OpenFiles, 3, ByRlimit}) {
		t.Errorf("Enforce = %+v, %v", enforced, err)
	}
}

// TestKillAfterOOM checks that a leader which is killed by a requested SIGKILL is not reported as
// killed at the memory limit, even if another process of the tree was before.
func TestKillAfterOOM(t *testing.T) {
	h := openHost(t, Auto)
	needs(t, h, MemoryBytes)
	p := startOn(t, h, limited(sh(`tail /dev/zero; echo $?; exec sleep 60`), Limits{MemoryBytes: 32 << 20}))
	if got := readLine(t, p.Stdout()); got != "137" {
		t.Fatal(got)
	}
	_ = p.Signal(syscall.SIGKILL)
	_ = p.WaitExit()
	p.Sweep(context.Background(), 0)
	if exit, _ := p.Reap(); exit.Signal != syscall.SIGKILL || exit.Limit != "" {
		t.Errorf("exit %+v", exit)
	}
}
