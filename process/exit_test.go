//go:build linux

package process

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/leader"
)

func TestExitCodes(t *testing.T) {
	for code := range 256 {
		_, exit, err := runSpec(sh(fmt.Sprintf("exit %d", code)))
		if err != nil || exit.Code != code || exit.Signal != 0 || !exit.Known {
			t.Errorf("exit %d: got %+v, %v", code, exit, err)
		}
	}
	if _, exit, err := runSpec(sh("no-such-program")); err != nil || exit.Code != 127 {
		t.Errorf("program that does not exist: got %+v, %v, want code 127", exit, err)
	}
}

func TestExitBySignal(t *testing.T) {
	notFatal := map[syscall.Signal]bool{
		syscall.SIGCHLD: true, syscall.SIGCONT: true, syscall.SIGSTOP: true, syscall.SIGTSTP: true,
		syscall.SIGTTIN: true, syscall.SIGTTOU: true, syscall.SIGURG: true, syscall.SIGWINCH: true,
	}
	for sig := syscall.Signal(1); sig <= 31; sig++ {
		if notFatal[sig] {
			continue
		}
		p := mustStart(t, Spec{Argv: []string{"/bin/sleep", "60"}, Dir: t.TempDir()}, leader.System()) // a core is written to Dir
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		if exit, err := p.Reap(); err != nil || exit.Signal != sig || exit.Code != -1 || !exit.Known {
			t.Errorf("signal %v: got %+v, %v", sig, exit, err)
		}
	}
}

// TestExitUnknown checks the exit of a leader that other code has reaped.
func TestExitUnknown(t *testing.T) {
	eachKernel(t, func(t *testing.T, sys leader.Kernel) {
		p := mustStart(t, sh("exit 3"), sys)
		if _, err := syscall.Wait4(p.PID(), nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		if exit, err := p.Reap(); err != nil || exit != (Exit{Code: -1}) {
			t.Errorf("got %+v, %v", exit, err)
		}
	})
}

func TestUsage(t *testing.T) {
	_, exit, err := runSpec(sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"))
	if err != nil || exit.UserTime < time.Millisecond || exit.UserTime+exit.SystemTime > time.Minute {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// TestMaxRSSIsNotThatOfServer checks that a child which shares the memory of the server until its
// exec does not report that memory as its own.
func TestMaxRSSIsNotThatOfServer(t *testing.T) {
	const large = 128 << 20
	touched := make([]byte, large)
	for i := 0; i < large; i += 4096 {
		touched[i] = 1
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if _, exit, err := runSpec(Spec{Argv: []string{"/bin/true"}}); err != nil || exit.MaxRSS != 0 {
					t.Errorf("true: got %+v, %v, want MaxRSS 0", exit, err)
				}
			}
		})
	}
	wg.Wait()
	_ = touched[0]
	_, exit, err := runSpec(sh("exec dd if=/dev/zero of=/dev/null bs=512M count=1 status=none"))
	if err != nil || exit.MaxRSS < 512<<20 || exit.MaxRSS > 1<<30 {
		t.Errorf("dd with a buffer of 512 MiB: got %+v, %v", exit, err)
	}
}
