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

// A server that is the first process of its PID namespace is the parent of all orphans there, and reaps them under every
// containment.
func TestServerAsInitReapsOrphans(t *testing.T) {
	unshare := []string{"--pid", "--fork", "--kill-child", "--mount-proc"}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no PID namespace can be made here, which takes root: %v: %s", err, out)
	}
	for _, kind := range []string{"cgroup", "marker", "group"} {
		t.Run(kind, func(t *testing.T) {
			p := newPlace(t)
			x := p.start(t, "unshare", append(unshare, "runnel", "serve", "--listen=", "--containment="+kind)...)
			if !poll(func() bool { return x.ended() || strings.Contains(x.errors(), "listening") }) || x.ended() {
				if strings.Contains(x.errors(), "is not to be had here") {
					t.Skip(x.errors())
				}
				t.Fatal(x.errors())
			}
			p.runnel(t, "run", "-c", "(setsid true &); (true &); setsid sleep .1 & exit 0").exits(0)
			server := childrenOf(x.Process.Pid)
			if len(server) != 1 {
				t.Fatal(server)
			}
			defer func() { // in order, since its keeper can't outlive the namespace
				_ = syscall.Kill(server[0], syscall.SIGTERM)
				<-x.done
			}()
			keeper := keeperOf(t, server[0])
			var left []int
			if !poll(func() bool { left = childrenOf(server[0]); return slices.Equal(left, []int{keeper}) }) {
				t.Errorf("not reaped: %v, and the keeper is %d", left, keeper)
			}
		})
	}
}

// ended says whether the program has.
func (x *program) ended() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// childrenOf lists the children of a process, dead ones too.
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
