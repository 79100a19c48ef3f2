//go:build linux

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestUsersAreIsolated checks that a command of one user reaches neither the files, the processes
// nor the input of the command of another, nor those of the server.
func TestUsersAreIsolated(t *testing.T) {
	needRoot(t)
	allHosts(t, func(t *testing.T, h *Host) {
		dir := publicDir(t)
		secret := filepath.Join(dir, "secret")
		if err := errors.Join(os.WriteFile(secret, []byte("token"), 0o600), os.Chmod(dir, 0o777)); err != nil {
			t.Fatal(err)
		}
		s := as(bob, sh(`umask 077; echo bob >mine; echo $$; exec cat`))
		s.Stdin, s.Dir, s.Env = true, dir, append([]string{"SECRET=bob"}, testEnv...)
		victim := startOn(t, h, s)
		pid := readPID(t, victim.Stdout())
		if !poll(func() bool { name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); return string(name) == "cat\n" }) {
			t.Fatal("no cat")
		}
		server := os.Getpid()
		attacks := []string{"cat " + secret, "cat mine", "echo x >>mine"}
		for _, target := range []int{pid, server} {
			proc := fmt.Sprintf("/proc/%d/", target)
			attacks = append(attacks,
				"cat "+proc+"environ", "cat "+proc+"maps", "head -c 1 "+proc+"mem", "ls "+proc+"fd", "echo x >"+proc+"fd/1", "cat "+proc+"fd/0",
				"ls "+proc+"cwd/", "ls "+proc+"root/", "readlink "+proc+"exe", "cat "+proc+"syscall", "cat "+proc+"stack", "cat "+proc+"io",
				"echo 500 >"+proc+"oom_score_adj", "echo x >"+proc+"comm",
				fmt.Sprintf("kill -0 %d", target), fmt.Sprintf("kill -KILL %d", target), fmt.Sprintf("kill -STOP -- -%d", target),
				fmt.Sprintf("renice 10 %d", target), fmt.Sprintf("prlimit --pid %d --nofile=1:1", target),
			)
		}
		for _, group := range h.identity.Record.Cgroups {
			if _, err := os.Stat(group); err == nil {
				attacks = append(attacks, "mkdir "+group+"/x", "echo $$ >"+group+"/cgroup.procs")
				leaves, _ := filepath.Glob(group + "/*/cgroup.procs")
				for _, leaf := range leaves {
					attacks = append(attacks, "echo $$ >"+leaf, "echo 1 >"+filepath.Dir(leaf)+"/cgroup.kill", "echo 1 >"+filepath.Dir(leaf)+"/cgroup.freeze")
				}
			}
		}
		var script strings.Builder
		for i, attack := range attacks {
			fmt.Fprintf(&script, "if (%s) >/dev/null 2>&1; then echo %d; fi\n", attack, i)
		}
		script.WriteString("(echo x >ours) 2>&1 && rm ours && echo end\n") // an attack on its own files succeeds
		attacker := as(alice, sh(script.String()))
		attacker.Dir = dir
		out, exit := runOn(t, h, attacker)
		lines := strings.Fields(out)
		for _, n := range lines[:max(len(lines)-1, 0)] {
			i, _ := strconv.Atoi(n)
			t.Errorf("succeeded: %s", attacks[i])
		}
		if len(lines) == 0 || lines[len(lines)-1] != "end" {
			t.Fatalf("%q, %+v", out, exit)
		}
		_, _ = victim.Stdin().WriteString("alive\n")
		if line := readLine(t, victim.Stdout()); line != "alive" {
			t.Errorf("the victim writes %q", line)
		}
	})
}

// TestUserCannotStopTheServer checks that a user that stops all processes that it may signal does not
// stop the server at a fork, and so not the commands of others.
func TestUserCannotStopTheServer(t *testing.T) {
	needRoot(t)
	program := stopper(t)
	for _, kind := range []Containment{Marker, Group} {
		t.Run(string(kind), func(t *testing.T) {
			h := openHost(t, kind)
			p := startOn(t, h, as(alice, Spec{Argv: []string{program}, Env: testEnv}))
			if line := readLine(t, p.Stdout()); line != "ready" {
				t.Fatal(line)
			}
			ctx, cancel := context.WithCancel(context.Background())
			var own, others sync.WaitGroup
			for range 2 {
				own.Go(func() { // starts of the same user may hang until they are canceled
					for ctx.Err() == nil {
						q, err := h.Attempt(as(alice, sh("true"))).Start(ctx)
						if err == nil {
							q.Discard()
						}
					}
				})
			}
			began := time.Now()
			for range 2 {
				others.Go(func() {
					for range rounds(10, 50) {
						if out, _, err := runSpecOn(h, as(bob, sh("echo x"))); out != "x\n" || err != nil {
							t.Errorf("%q, %v", out, err)
						}
					}
				})
			}
			others.Wait()
			t.Logf("%d commands took %v", 2*rounds(10, 50), time.Since(began))
			cancel()
			own.Wait()
		})
	}
}

// stopper builds a program that stops all other processes of its user, again and again.
func stopper(t *testing.T) string {
	t.Helper()
	dir := publicDir(t)
	path, source := filepath.Join(dir, "stopper"), filepath.Join(dir, "stopper.c")
	err := os.WriteFile(source, []byte(`#include <signal.h>
#include <stdio.h>
int main(void) { puts("ready"); fflush(stdout); for (;;) kill(-1, SIGSTOP); }
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-o", path, source).CombinedOutput(); err != nil {
		skipUnlessRequired(t, "compiler", fmt.Sprintf("%v %s", err, out))
	}
	return path
}

// runSpecOn is runOn for other goroutines than that of the test.
func runSpecOn(h *Host, spec Spec) (string, Exit, error) {
	p, err := h.Start(spec)
	if err != nil {
		return "", Exit{}, err
	}
	defer p.Close()
	out, err := readAll(p.Stdout())
	waitErr := p.WaitExit()
	p.Sweep(context.Background(), 0)
	exit, reapErr := p.Reap()
	return out, exit, errors.Join(err, waitErr, reapErr)
}

// TestUserFromCapabilities checks a server that is not root but has the capabilities, which a change
// of the user does not take away by itself.
func TestUserFromCapabilities(t *testing.T) {
	if os.Getenv("RUNNEL_TEST_AMBIENT") == "" {
		needRoot(t)
		dir := publicDir(t)
		text, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(script(t, dir+"/test", string(text), 0o755), "-test.v", "-test.run=^"+t.Name()+"$")
		cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin", "RUNNEL_TEST_AMBIENT=1"}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: []uintptr{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL, unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE},
		}
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Containment{Marker, Group} {
		t.Run(string(kind), func(t *testing.T) { checkCapableServer(t, openHost(t, kind), private) })
	}
}

// checkCapableServer checks a server that is not root. private is a directory of its own.
func checkCapableServer(t *testing.T, h *Host, private string) {
	p := startOn(t, h, as(alice, sh(`grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status; id -u; sleep 600 & echo $!; wait`)))
	for range 4 {
		if line := readLine(t, p.Stdout()); !strings.HasSuffix(line, ":\t0000000000000000") {
			t.Error(line)
		}
	}
	if line := readLine(t, p.Stdout()); line != "65533" {
		t.Errorf("user %s", line)
	}
	pid := readPID(t, p.Stdout())
	exit := finish(p)
	if exit.Signal != syscall.SIGKILL || !poll(func() bool { return !alive(pid) }) {
		t.Errorf("%+v, process %d alive: %v", exit, pid, alive(pid))
	}
	// CAP_DAC_OVERRIDE of the server does not open what the user may not reach.
	_, err := h.Start(Spec{Argv: []string{"true"}, Env: testEnv, Dir: private, User: alice})
	if !errors.Is(err, unix.EACCES) {
		t.Errorf("in a private directory: %v", err)
	}
}

// TestUserWaitsForInput checks that the processes of another user are inspected.
func TestUserWaitsForInput(t *testing.T) {
	needRoot(t)
	h := openHost(t, Marker)
	s := as(alice, sh("read x; sleep 1000"))
	s.Stdin = true
	p := startOn(t, h, s)
	if !poll(p.WaitsForInput) {
		t.Error("a command that reads does not wait for input")
	}
	if p := startOn(t, h, onTerminal(s)); !poll(p.WaitsForInput) {
		t.Error("a command that reads its terminal does not wait for input")
	}
}

// TestUserIsLimited checks the limits of the whole tree, its usage, and the cause of an end.
func TestUserIsLimited(t *testing.T) {
	needRoot(t)
	allHosts(t, func(t *testing.T, h *Host) {
		if _, err := h.Enforce(Limits{MemoryBytes: 1 << 26}); err != nil {
			skipUnlessRequired(t, MemoryBytes, err)
		}
		s := as(alice, sh("exec perl -e '$x = \"x\" x 400_000_000; print length $x'"))
		s.Limits = Limits{MemoryBytes: 64 << 20, Processes: 20}
		out, exit := runOn(t, h, s)
		if exit.Limit != MemoryBytes || exit.Signal != syscall.SIGKILL || out != "" {
			t.Errorf("%q, %+v", out, exit)
		}
		s = as(alice, sh("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"))
		if _, exit := runOn(t, h, s); exit.UserTime == 0 {
			t.Errorf("%+v", exit)
		}
	})
}

// TestKeeperEndsTreesOfOtherUsers checks that no process of another user outlives a server that is
// killed.
func TestKeeperEndsTreesOfOtherUsers(t *testing.T) {
	needRoot(t)
	eachKeeperContainment(t, func(t *testing.T, kind Containment) {
		dir := t.TempDir()
		spec, tag := containedSpec(t, kind)
		cmd := startServer(t, dir, kind, spec, tag, withKeeper, "RUNNEL_TEST_USER=65533")
		for _, pid := range tagged(tag) {
			if st, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil && st.Sys().(*syscall.Stat_t).Uid != alice.UID {
				t.Fatalf("process %d belongs to %d", pid, st.Sys().(*syscall.Stat_t).Uid)
			}
		}
		keeper, groups := awaitKeeper(t, cmd.Process.Pid), groupsIn(t, dir)
		kill(cmd)
		checkKeeperEnds(t, keeper, tag, groups, dir)
	})
}

// TestLeadersOfOtherUsersDieWithServer checks that the parent-death signal, which a change of the
// user clears, is set again.
func TestLeadersOfOtherUsersDieWithServer(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	spec, tag := runawaySpec(t, "fork", "close", "stay")
	cmd := startServer(t, dir, Group, spec, tag, "RUNNEL_TEST_USER=65533")
	kill(cmd)
	if !poll(func() bool { return len(tagged(tag)) == serverTrees() }) {
		t.Errorf("%d processes run, want the %d that are no leaders", len(tagged(tag)), serverTrees())
	}
	for _, pid := range tagged(tag) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	reapAdopted(0)
}
