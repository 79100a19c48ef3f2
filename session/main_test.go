//go:build linux

package session

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// patience limits each wait of the tests, which need a fraction of it.
const patience = 20 * time.Second

// TestMain fails if the tests leave an open descriptor, a goroutine or a child process.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // the parallel tests mostly wait
	process.Step()
	if path := os.Getenv(connectTo); path != "" {
		connect(path)
	}
	openHost()
	r := NewRegistry(Options{MaxSessions: 1, Host: host})
	s, _, _ := r.Reserve(sh("warm", "true"))
	if err := s.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r.Shutdown(context.Background())
	warm := make(chan os.Signal, 1)
	signal.Notify(warm, syscall.SIGCHLD) // starts a goroutine of os/signal that never ends
	signal.Stop(warm)
	fds, goroutines := descriptors(), runtime.NumGoroutine()
	code := m.Run()
	if err := host.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	clean := func() bool {
		return len(descriptors()) <= len(fds) && runtime.NumGoroutine() <= goroutines && len(children()) == 0
	}
	if code == 0 && !poll(5*time.Second, clean) {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "left: descriptors %d → %v, goroutines %d → %d, children %v\n%s",
			len(fds), descriptors(), goroutines, runtime.NumGoroutine(), children(), stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// host starts the sessions of most tests, with the containment in RUNNEL_TEST_CONTAINMENT. It is
// nil by default.
var host *process.Host

func openHost() {
	kind := os.Getenv("RUNNEL_TEST_CONTAINMENT")
	if kind == "" {
		return
	}
	var err error
	if host, err = process.Open(process.Options{Containment: process.Containment(kind)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func descriptors() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, e.Name()+":"+target)
		}
	}
	return list
}

// children lists the children of this process, with zombies.
func children() (pids []string) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if fields := stat(e.Name()); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pids = append(pids, e.Name())
		}
	}
	return pids
}

// stat returns the fields of /proc/PID/stat after the name, beginning with the state.
func stat(pid string) []string {
	line, _ := os.ReadFile("/proc/" + pid + "/stat")
	return strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
}

func alive(pid int) bool {
	fields := stat(strconv.Itoa(pid))
	return len(fields) > 0 && fields[0] != "Z" && fields[0] != "X"
}

// poll waits for ok, at most for most. The pauses get longer, since some checks read all of /proc.
func poll(most time.Duration, ok func() bool) bool {
	end := time.Now().Add(most)
	for pause := time.Millisecond; time.Now().Before(end); pause = min(pause*5/4, 50*time.Millisecond) {
		if ok() {
			return true
		}
		time.Sleep(pause)
	}
	return ok()
}

func within(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
}

// registry returns a registry that is shut down, without a grace, at the end of the test. With
// RUNNEL_TEST_SPOOL=1 it has a spool.
func registry(t testing.TB, o Options) *Registry {
	t.Helper()
	if os.Getenv("RUNNEL_TEST_SPOOL") != "" {
		o.Spool = openSpool(t, t.TempDir())
	}
	return unspooled(t, o)
}

// unspooled is registry without a spool of its own, for tests of what memory keeps.
func unspooled(t testing.TB, o Options) *Registry {
	t.Helper()
	if o.Host == nil {
		o.Host = host
	}
	o.Commands = commands
	r := NewRegistry(o)
	t.Cleanup(func() {
		for _, s := range r.all() {
			s.End(Shutdown, new(time.Duration))
			s.log.Unblock()
		}
		r.Shutdown(context.Background())
		o.Spool.Close()
		if n := r.Running(); n != 0 {
			t.Errorf("%d sessions run after the shutdown", n)
		}
	})
	return r
}

// sh returns the spec of a shell script of the owner "me".
func sh(id, script string) Spec {
	return Spec{
		ID: id, Owner: "me", Params: func() string { return script }, Grace: patience,
		Program: process.Spec{
			Argv: []string{"/bin/sh", "-c", script},
			Env:  []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		},
	}
}

func reserve(t testing.TB, r *Registry, spec Spec) *Session {
	t.Helper()
	s, created, err := r.Reserve(spec)
	if err != nil || !created {
		t.Fatalf("reserving %s: created %v, %v", spec.ID, created, err)
	}
	return s
}

func start(t testing.TB, r *Registry, spec Spec) *Session {
	t.Helper()
	s := reserve(t, r, spec)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// run starts a script in a registry of its own. change, if not nil, changes the spec.
func run(t testing.TB, script string, change func(*Spec)) *Session {
	t.Helper()
	spec := sh("session", script)
	if change != nil {
		change(&spec)
	}
	return start(t, registry(t, Options{}), spec)
}

// awaitEnding waits until the end of the session has begun.
func awaitEnding(t testing.TB, s *Session) {
	t.Helper()
	if !poll(patience, func() bool { return s.View().State >= Ending }) {
		t.Fatal("the end of the session does not begin")
	}
}

// ended waits for the record.
func ended(t testing.TB, s *Session) *Record {
	t.Helper()
	within(t, "the end of the session", s.Done())
	return s.Record()
}

// follower reads the log of a session through an attachment that is disconnected at the end of the
// test.
type follower struct {
	*Attachment
	t     testing.TB
	ready chan struct{}
	items []stream.Item
}

func follow(t testing.TB, s *Session, o stream.CursorOptions) *follower {
	f := &follower{t: t, ready: make(chan struct{}, 1)}
	o.Ready = func() { f.ready <- struct{}{} }
	f.Attachment = s.Attach(AttachOptions{Cursor: o})
	t.Cleanup(f.Disconnect)
	return f
}

// until reads items until ok returns true.
func (f *follower) until(what string, ok func() bool) {
	f.t.Helper()
	for !ok() {
		it, more := f.Next()
		if more {
			it.Data = bytes.Clone(it.Data)
			f.items = append(f.items, it)
			continue
		}
		within(f.t, what, f.ready)
	}
}

// line waits for line n of the output and returns it.
func (f *follower) line(n int) string {
	f.t.Helper()
	f.until("a line", func() bool { return strings.Count(f.output(), "\n") > n })
	return strings.Split(f.output(), "\n")[n]
}

func (f *follower) pid(n int) int {
	f.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(f.line(n)))
	if err != nil {
		f.t.Fatal(err)
	}
	return pid
}

func (f *follower) output() string {
	var b strings.Builder
	for _, it := range f.items {
		b.Write(it.Data)
	}
	return b.String()
}

// whole reads to the record, and returns the statuses of the state events.
func (f *follower) whole() (statuses []string) {
	f.t.Helper()
	f.until("the record", func() bool {
		if len(f.items) == 0 {
			return false
		}
		_, last := f.items[len(f.items)-1].Event.(*Record)
		return last
	})
	for _, it := range f.items {
		switch e := it.Event.(type) {
		case Change:
			statuses = append(statuses, e.Status)
		case *Record:
			statuses = append(statuses, "completed")
		}
	}
	return statuses
}

// tail returns the stdout of a session that is in the log.
func tail(s *Session) string {
	b, _ := s.log.Tail(stream.Stdout, 1<<30)
	return string(b)
}

// failure returns the error of a call that returns another value too.
func failure[T any](_ T, err error) error { return err }
