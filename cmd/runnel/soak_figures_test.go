//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// serveWithFigures is serve with a server that reports its figures.
func (p *testDir) serveWithFigures(t *testing.T, args ...string) *program {
	t.Helper()
	x := p.prepare(t, "runnel-with-figures", append([]string{"serve", "--listen=127.0.0.1:0", "--ready-file=ready"}, args...)...)
	x.Env = append(x.Env, figuresVariable+"="+p.path("figures"))
	x.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a controlling terminal SIGHUP is a reload
	x.startPrepared()
	t.Cleanup(func() { x.signalUntilExit(syscall.SIGTERM) })
	if !poll(func() bool { r, _ := readReady(p.path("ready")); return r.PID == x.Process.Pid }) {
		t.Fatal("not ready:", x.stderrText())
	}
	return x
}

// figures are what a server has taken from the system.
type figures struct {
	runtimeFigures
	memory      int64          // RssAnon (proc_pid_status(5)), in bytes
	descriptors map[string]int // by the kind of the file
	children    int            // its keeper is one of them
	leaves      int            // cgroups of sessions; unused ones are kept for the next sessions
	populated   int            // those with processes
	files       []string       // in the directory of the test, which has the server's
}

// measure measures a server that does nothing.
func (s *soak) measure() (f figures) {
	s.t.Helper()
	c, err := net.Dial("unix", s.dir.path("figures"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := json.NewDecoder(c).Decode(&f.runtimeFigures); err != nil {
		s.t.Fatal(err)
	}
	pid := s.server.Process.Pid
	f.memory, f.children = ownMemory(pid), len(childrenOf(pid))
	f.descriptors = descriptorsByKind(pid)
	f.leaves, f.populated = s.leafCgroups()
	_ = filepath.WalkDir(s.dir.dir, func(path string, _ fs.DirEntry, _ error) error {
		f.files = append(f.files, path)
		return nil
	})
	return f
}

// The kinds of files of which the server keeps some for the next session (docs/operating.md).
const (
	cgroupFiles = "files of cgroups"
	childLists  = "lists of children"
	journals    = "segments of the journal"
)

// descriptorsByKind counts the open files of a process. Sockets, pipes and the like have a number
// that is left out.
func descriptorsByKind(pid int) map[string]int {
	counts := make(map[string]int)
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range list {
		to, err := os.Readlink(fd)
		if err != nil {
			continue
		}
		kind, _, _ := strings.Cut(to, ":[")
		switch {
		case strings.HasPrefix(to, "/sys/fs/cgroup/") && strings.Contains(to, "/runnel-"):
			kind = cgroupFiles
		case strings.HasSuffix(to, "/children"):
			kind = childLists
		case strings.Contains(to, "/"+soakSpool+"/journal-"):
			kind = journals
		}
		counts[kind]++
	}
	return counts
}

// leafCgroups counts the cgroups of the sessions of a server, of version 1 and 2. The name of its
// state file is that of the cgroup above them.
func (s *soak) leafCgroups() (all, populated int) {
	states, _ := filepath.Glob(s.dir.path("runnel/servers/runnel-*"))
	if len(states) != 1 {
		s.t.Fatalf("state files: %q", states)
	}
	above := "/" + filepath.Base(states[0]) + "/"
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, _ error) error {
		if d == nil || !d.IsDir() || !strings.Contains(path, above) {
			return nil // another cgroup, or one that was removed meanwhile
		}
		all++
		if text, _ := os.ReadFile(path + "/cgroup.procs"); len(text) > 0 {
			populated++
		}
		return nil
	})
	return all, populated
}

// byEntry counts goroutines by the functions that they began with, wherever they wait.
func byEntry(goroutines map[string]int) map[string]int {
	counts := make(map[string]int)
	for stack, n := range goroutines {
		counts[stack[strings.LastIndex(stack, " ")+1:]] += n
	}
	return counts
}

// exceeding lists the keys of which got has more than want.
func exceeding(got, want map[string]int) (more []string) {
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if n := got[key] - want[key]; n > 0 {
			more = append(more, fmt.Sprintf("%d more (%d before): %s", n, want[key], key))
		}
	}
	return more
}
