//go:build linux

package process

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// waitsForInput waits until the tree is asleep in its program, and returns WaitsForInput.
func waitsForInput(t *testing.T, p *Process, want bool) bool {
	t.Helper()
	if want {
		return poll(p.WaitsForInput)
	}
	if !poll(func() bool { return asleep(p) }) {
		t.Fatal("the tree does not fall asleep")
	}
	return p.WaitsForInput()
}

// asleep reports whether the newest process of the tree has been in one system call for some time.
func asleep(p *Process) bool {
	pids, err := p.Members()
	if err != nil || len(pids) == 0 {
		return false
	}
	pid := slices.Max(pids)
	read := func() string {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall")
		return string(line)
	}
	first := read()
	time.Sleep(20 * time.Millisecond)
	exe, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return first != "" && first == read() && !strings.HasPrefix(first, "running") && !strings.Contains(exe, ".test")
}

// TestWaitsForInput checks that a process of the tree is found if it is blocked on the input, for
// each system call, and only then.
func TestWaitsForInput(t *testing.T) {
	waiter := compiled(t, "waiter")
	for _, test := range []struct {
		argv []string
		want bool
	}{
		{[]string{"cat"}, true},
		{[]string{"sh", "-c", "read x"}, true},
		{[]string{"sh", "-c", "cat; true"}, true},
		{[]string{"sh", "-c", "(sh -c 'sleep 1000 & read x; kill $!'); true"}, true},
		{[]string{"sleep", "1000"}, false},
		{[]string{"sh", "-c", "sleep 1000; true"}, false},
		{[]string{"sh", "-c", "sleep 1000 | cat"}, false}, // waits for another pipe
		{[]string{waiter, "read"}, true},
		{[]string{waiter, "read-high"}, true},
		{[]string{waiter, "read-other"}, false},
		{[]string{waiter, "readv"}, true},
		{[]string{waiter, "poll"}, true},
		{[]string{waiter, "poll-timeout"}, true},
		{[]string{waiter, "poll-high"}, true},
		{[]string{waiter, "poll-other"}, false},
		{[]string{waiter, "poll-urgent"}, false},
		{[]string{waiter, "ppoll"}, true},
		{[]string{waiter, "select"}, true},
		{[]string{waiter, "select-high"}, true},
		{[]string{waiter, "select-other"}, false},
		{[]string{waiter, "pselect"}, false}, // for an exceptional condition
		{[]string{waiter, "epoll"}, true},
		{[]string{waiter, "epoll-other"}, false},
		{[]string{waiter, "thread"}, true},
		{[]string{waiter, "pause"}, false},
	} {
		for _, terminal := range []*Terminal{nil, {Rows: 24, Cols: 80}} {
			name := strings.Join(test.argv, " ")[strings.LastIndexByte(test.argv[0], '/')+1:]
			if terminal != nil {
				name += " on a terminal"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := startOn(t, nil, Spec{Argv: test.argv, Env: testEnv, Stdin: terminal == nil, Terminal: terminal})
				if got := waitsForInput(t, p, test.want); got != test.want {
					t.Errorf("WaitsForInput = %v, want %v", got, test.want)
				}
			})
		}
	}
	t.Run("/dev/tty", func(t *testing.T) {
		p := startOn(t, nil, Spec{Argv: []string{waiter, "tty"}, Env: testEnv, Terminal: &Terminal{Rows: 1, Cols: 1}})
		if !waitsForInput(t, p, true) {
			t.Error("WaitsForInput = false")
		}
	})
	t.Run("splice", func(t *testing.T) {
		p := startOn(t, nil, Spec{Argv: []string{waiter, "splice"}, Env: testEnv, Stdin: true})
		if !waitsForInput(t, p, true) {
			t.Error("WaitsForInput = false")
		}
	})
}

// TestWaitsForInputEnds checks that WaitsForInput is false once there is input, the input has
// ended, or the process is stopped, and without an input.
func TestWaitsForInputEnds(t *testing.T) {
	p := startOn(t, nil, Spec{Argv: []string{"sh", "-c", "read x; sleep 1000"}, Env: testEnv, Stdin: true})
	if !poll(p.WaitsForInput) {
		t.Fatal("WaitsForInput stays false")
	}
	if err := p.Pause(); err != nil || !poll(func() bool { return !p.WaitsForInput() }) {
		t.Errorf("WaitsForInput stays true while the process is stopped, or %v", err)
	}
	if err := p.Resume(); err != nil || !poll(p.WaitsForInput) {
		t.Errorf("WaitsForInput stays false after Resume, or %v", err)
	}
	if _, err := p.Stdin().WriteString("x\n"); err != nil || !poll(func() bool { return !p.WaitsForInput() }) {
		t.Errorf("WaitsForInput stays true with input, or %v", err)
	}
	_ = p.Stdin().Close()
	if p.WaitsForInput() {
		t.Error("WaitsForInput = true after the end of the input")
	}
	none := startOn(t, nil, Spec{Argv: []string{"sh", "-c", "sleep 1000 | cat"}, Env: testEnv})
	if waitsForInput(t, none, false) {
		t.Error("WaitsForInput = true without an input")
	}
	finish(none)
	if none.WaitsForInput() {
		t.Error("WaitsForInput = true after the end of the tree")
	}
}

// TestWaitsForInputAfterLeader checks that a descendant is found after the leader has exited.
func TestWaitsForInputAfterLeader(t *testing.T) {
	eachHost(t, func(t *testing.T, h *Host) {
		p := startOn(t, h, Spec{Argv: []string{"sh", "-c", "exec 3<&0; (cat <&3) & exit"}, Env: testEnv, Stdin: true})
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		if !poll(p.WaitsForInput) {
			t.Error("WaitsForInput = false")
		}
	})
}

// TestWaitsForInputOfLargeTree checks a tree with more processes than are scanned.
func TestWaitsForInputOfLargeTree(t *testing.T) {
	script := "i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait"
	p := startOn(t, nil, Spec{Argv: []string{"sh", "-c", script}, Env: testEnv, Stdin: true})
	_ = readLine(t, p.Stdout())
	if p.WaitsForInput() {
		t.Error("WaitsForInput = true for a tree of sleeping processes")
	}
}

// TestEcho checks that Echo follows the mode of the terminal.
func TestEcho(t *testing.T) {
	if _, err := exec.LookPath("stty"); err != nil {
		t.Skip("NOT TESTED: no stty: ", err)
	}
	script := "stty -echo; read x; stty echo; read x"
	p := startOn(t, nil, Spec{Argv: []string{"sh", "-c", script}, Env: testEnv, Terminal: &Terminal{Rows: 1, Cols: 1}})
	echoes := func(want bool) bool {
		return poll(func() bool { on, err := p.Echo(); return err == nil && on == want && p.WaitsForInput() })
	}
	if !echoes(false) {
		t.Error("Echo stays true")
	}
	if _, err := p.Stdin().WriteString("x\n"); err != nil || !echoes(true) {
		t.Errorf("Echo stays false, or %v", err)
	}
	finish(p)
	if _, err := p.Echo(); err != os.ErrClosed {
		t.Errorf("Echo after Close: %v", err)
	}
	pipe := startOn(t, nil, Spec{Argv: []string{"cat"}, Env: testEnv, Stdin: true})
	if _, err := pipe.Echo(); err != ErrNoTerminal {
		t.Errorf("Echo without a terminal: %v", err)
	}
}

func BenchmarkWaitsForInput(b *testing.B) {
	for name, argv := range map[string][]string{"cat": {"cat"}, "sleep": {"sleep", "1000"}} {
		b.Run(name, func(b *testing.B) {
			p := startOn(b, nil, Spec{Argv: argv, Env: testEnv, Stdin: true})
			for b.Loop() {
				p.WaitsForInput()
			}
		})
	}
}
