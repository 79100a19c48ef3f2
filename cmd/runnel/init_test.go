package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestServerAsInitReapsOrphans: a server that is the init process of its PID namespace is the
// parent of all orphans, and reaps them with every containment.
func TestServerAsInitReapsOrphans(t *testing.T) {
	unshare := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("cannot create a PID namespace: %v: %s", err, out)
	}
	for _, kind := range []string{"cgroup", "marker", "group"} {
		t.Run(kind, func(t *testing.T) {
			p := newTestDir(t)
			x := p.start(t, "unshare", append(unshare, "runnel", "serve", "--listen=", "--containment="+kind)...)
			if !poll(func() bool { return x.ended() || strings.Contains(x.stderrText(), "listening") }) || x.ended() {
				if strings.Contains(x.stderrText(), "is unavailable: ") {
					t.Skip(x.stderrText())
				}
				t.Fatal(x.stderrText())
			}
			p.runnel(t, "run", "-c", "(setsid true &); (true &); setsid sleep .1 & exit 0").expectExit(0)
			server := childrenOf(x.Process.Pid)
			if len(server) != 1 {
				t.Fatal(server)
			}
			defer func() { // an orderly shutdown, since a keeper cannot outlive the namespace
				_ = syscall.Kill(server[0], syscall.SIGTERM)
				<-x.done
			}()
			keeper := keeperOf(t, server[0])
			var left []int
			if !poll(func() bool { left = childrenOf(server[0]); return slices.Equal(left, []int{keeper}) }) {
				t.Errorf("children of the server are %v, want only the keeper, %d", left, keeper)
			}
		})
	}
}

// ended reports whether the program has exited.
func (x *program) ended() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// childrenOf returns the children of a process, including zombies.
func childrenOf(pid int) (pids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range list {
		line, _ := os.ReadFile(file)
		fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, n)
		}
	}
	return pids
}
