//go:build linux

package session

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/stream"
)

// gate returns a shell loop that waits for a file, and a function that creates it.
func gate(t *testing.T) (wait string, open func()) {
	path := filepath.Join(t.TempDir(), "gate")
	return "until [ -e " + path + " ]; do sleep 0.01; done", func() {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOneGraceForTheWholeTree checks that descendants that ignore SIGTERM are killed when the grace
// since the request has passed, also if the command exits during the grace.
func TestOneGraceForTheWholeTree(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	for name, script := range map[string]string{
		"the command exits at once": `sh -c 'trap "" TERM; echo $$; exec sleep 60' & sleep 60`,
		"the command exits late":    `trap 'sleep 1.2; exit' TERM; sh -c 'trap "" TERM; echo $$; exec sleep 60' & wait`,
		"no process exits":          `trap "" TERM; sh -c 'echo $$; exec sleep 60' & exec sleep 60`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := run(t, script, nil)
			child := follow(t, s, cursor).pid(0)
			begin := time.Now()
			g := grace
			s.End(Canceled, &g)
			rec := ended(t, s)
			took := time.Since(begin)
			if alive(child) || len(rec.Survivors) > 0 {
				t.Error("the child is alive")
			}
			if !rec.Escalated || rec.Cause != Canceled || took < grace || took > grace*16/10 {
				t.Errorf("the end took %v; %+v", took, rec)
			}
		})
	}
	t.Run("all processes exit at once", func(t *testing.T) {
		t.Parallel()
		s := run(t, `sh -c 'echo $$; exec sleep 60' & wait`, nil) // with a grace of patience
		child := follow(t, s, cursor).pid(0)
		s.End(Canceled, nil)
		if rec := ended(t, s); rec.Escalated || alive(child) {
			t.Errorf("got %+v", rec)
		}
	})
}

// TestEveryEndLeavesNoProcess checks that for each way in which a session can end.
func TestEveryEndLeavesNoProcess(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *Session){
		"exit":       func(s *Session) { _ = s.stdin.file.Close() },
		"cancel":     func(s *Session) { s.End(Canceled, nil) },
		"kill":       func(s *Session) { s.End(Canceled, new(time.Duration)) },
		"paused":     func(s *Session) { _ = s.Pause(); s.End(Canceled, nil) },
		"disconnect": func(s *Session) { s.Attach(AttachOptions{Cursor: cursor}).Disconnect() },
		"crash":      func(s *Session) { _ = syscall.Kill(s.View().PID, syscall.SIGKILL) },
		"paused, crash": func(s *Session) {
			_ = s.Pause()
			_ = syscall.Kill(s.View().PID, syscall.SIGKILL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := run(t, `sh -c 'echo $$; sh -c "echo \$\$; exec sleep 60"; exit' & read x; exit`, func(o *Spec) { o.Program.Stdin = true })
			f := &follower{t: t, ready: make(chan struct{}, 1)} // without an attachment, because disconnect counts them
			c := s.Log().NewCursor(stream.CursorOptions{Ready: func() { f.ready <- struct{}{} }})
			defer c.Close()
			f.Attachment = &Attachment{session: s, cursor: c}
			pids := []int{f.pid(0), f.pid(1)}
			end(s)
			if rec := ended(t, s); slices.ContainsFunc(pids, alive) || rec.Survivors != nil {
				t.Errorf("a process of the tree is alive: %+v", rec)
			}
		})
	}
}

func TestWaitForTree(t *testing.T) {
	t.Parallel()
	for name, redirect := range map[string]string{"that has the pipes open": "", "that has no pipe open": ">/dev/null 2>&1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wait, open := gate(t)
			s := run(t, "echo $$; ("+wait+"; echo late) "+redirect+" & exit 5", func(o *Spec) { o.WaitForTree = true })
			leader := follow(t, s, cursor).pid(0)
			if !poll(patience, func() bool { return !alive(leader) }) {
				t.Fatal("the command does not exit")
			}
			time.Sleep(2 * drainGrace) // the session would end within drainGrace
			if v := s.View(); v.State != Running {
				t.Fatalf("the state is %v", v.State)
			}
			open()
			rec := ended(t, s)
			if rec.Cause != Exited || rec.Exit.Code != 5 || rec.Escalated || rec.ExecutionTime >= 2*drainGrace {
				t.Errorf("got %+v", rec)
			}
			if got := strings.HasSuffix(tail(s), "late\n"); got != (redirect == "") {
				t.Errorf("stdout %q", tail(s))
			}
		})
	}
	t.Run("that is canceled", func(t *testing.T) {
		t.Parallel()
		s := run(t, "sh -c 'echo $$; exec sleep 60' & exit 5", func(o *Spec) { o.WaitForTree = true })
		leader, child := s.View().PID, follow(t, s, cursor).pid(0)
		if !poll(patience, func() bool { return !alive(leader) }) {
			t.Fatal("the command does not exit")
		}
		s.End(Canceled, nil)
		if rec := ended(t, s); rec.Cause != Canceled || rec.Exit.Code != 5 || rec.Escalated || alive(child) {
			t.Errorf("got %+v", rec)
		}
	})
}

func TestDescendantsEndWithTheCommand(t *testing.T) {
	t.Parallel()
	for name, redirect := range map[string]string{"that have the pipes open": "", "that have no pipe open": ">/dev/null 2>&1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := run(t, "sleep 60 "+redirect+" & echo $!; exit 5", nil)
			child := follow(t, s, cursor).pid(0)
			if rec := ended(t, s); rec.Exit.Code != 5 || rec.Cause != Exited || alive(child) {
				t.Errorf("got %+v, the child is alive: %v", rec, alive(child))
			}
		})
	}
}

// TestACancelWaitsForNoClient checks that the end of a canceled session does not wait for a
// blocking client.
func TestACancelWaitsForNoClient(t *testing.T) {
	t.Parallel()
	s := reserve(t, registry(t, Options{ReplayBytes: 64 << 10}), sh("session", "exec head -c 100000000 /dev/zero"))
	f := follow(t, s, stream.CursorOptions{Block: true})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if !poll(patience, func() bool { _, head := s.Log().Bounds(); return head > 64<<10 }) {
		t.Fatal("no output")
	}
	s.End(Canceled, nil)
	rec := ended(t, s)
	f.whole()
	if n := int64(len(f.output())); n != rec.Counts.Written[stream.Stdout] || rec.Counts.Lost != 0 {
		t.Errorf("%d bytes, %+v", n, rec)
	}
}

// TestOutputOfDescendantsIsNotLost checks that descendants can write for a while after the exit of
// the command.
func TestOutputOfDescendantsIsNotLost(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{"sh": "(sleep 0.02; echo late) & exit 0"}
	if _, err := exec.LookPath("bash"); err == nil {
		scripts["bash"] = "exec bash -c 'exec > >(cat); echo late'"
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			r := registry(t, Options{})
			var all sync.WaitGroup
			for i := range 20 {
				s := start(t, r, sh(fmt.Sprint(i), script))
				all.Go(func() {
					<-s.Done()
					if got := tail(s); got != "late\n" {
						t.Errorf("got %q", got)
					}
				})
			}
			all.Wait()
		})
	}
}

// TestAPipeThatStaysOpen checks that a process outside the tree that has the pipe open does not
// delay the end.
func TestAPipeThatStaysOpen(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	s := run(t, "exec 3<&0; setsid sh -c 'echo $$; exec sleep 60' <&3 & read x; exit 5", withStdin)
	outside := follow(t, s, cursor).pid(0)
	t.Cleanup(func() { _ = syscall.Kill(outside, syscall.SIGKILL) })
	s.Write([]byte("go\n"+strings.Repeat("x", 256<<10)), nil, nil, false) // more than the pipe takes
	rec := ended(t, s)
	if rec.Exit.Code != 5 || rec.Cause != Exited {
		t.Errorf("got %+v", rec)
	}
}

// TestTheEndWaitsForASlowClient checks that after an exit it does, until an end is requested, and
// that no output is lost.
func TestTheEndWaitsForASlowClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(s *Session)
		done bool // ends before the client reads
	}{
		"that reads the output":        {func(*Session) {}, false},
		"that reads it after a cancel": {func(s *Session) { s.End(Canceled, nil) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := reserve(t, registry(t, Options{ReplayBytes: 64 << 10}), sh("session", "exec head -c 150000 /dev/zero"))
			f := follow(t, s, stream.CursorOptions{Block: true})
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			awaitEnding(t, s) // 64 KiB each are in the log, in a buffer and in the pipe
			select {
			case <-s.Done():
				t.Fatal("the end did not wait for the client")
			case <-time.After(2 * drainGrace):
			}
			c.do(s)
			if c.done {
				ended(t, s)
			}
			if d := cmp.Diff([]string{"started", "completed"}, f.whole()); d != "" {
				t.Error(d)
			}
			if rec := ended(t, s); rec.Cause != Exited || len(f.output()) != 150000 || rec.Counts.Lost != 0 {
				t.Errorf("%d bytes, %+v", len(f.output()), rec)
			}
		})
	}
}
