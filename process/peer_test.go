//go:build linux

package process

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/peer"
)

// The environment of a test binary that connects to a socket. peerWays are what it does before,
// separated by spaces:
//
//	child     it starts a child, which does the rest
//	orphan    it does that, and exits before the child goes on
//	setsid    it creates a kernel session; after child or orphan the child does
//	unmark    it changes its mark to no limit
//	mark=N    it changes its mark to N
//	leave     it moves to the root of the cgroup hierarchy of version 2
//	exit      it exits after it has connected
const (
	peerSocket = "RUNNEL_TEST_PEER_SOCKET"
	peerWays   = "RUNNEL_TEST_PEER_WAYS"
	peerParent = "RUNNEL_TEST_PEER_PARENT" // that the process waits for to exit
)

func runPeer() {
	ways := strings.Fields(os.Getenv(peerWays))
	if len(ways) > 0 && (ways[0] == "child" || ways[0] == "orphan") {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), peerWays+"="+strings.Join(ways[1:], " "))
		if ways[0] == "orphan" {
			c.Env = append(c.Env, peerParent+"="+strconv.Itoa(os.Getpid()))
		}
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: slices.Contains(ways, "setsid")}
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			panic(err)
		}
		if ways[0] == "child" {
			_ = c.Wait()
		}
		os.Exit(0)
	}
	parent, _ := strconv.Atoi(os.Getenv(peerParent))
	poll(func() bool { return os.Getppid() != parent })
	for _, way := range ways {
		if err := take(way); err != nil {
			panic(err)
		}
	}
	c, err := net.Dial("unix", os.Getenv(peerSocket))
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Fprintln(c, os.Getpid()); err != nil {
		panic(err)
	}
	if slices.Contains(ways, "exit") {
		os.Exit(0)
	}
	_, _ = io.Copy(io.Discard, c) // until the test closes the connection
	os.Exit(0)
}

func take(way string) error {
	name, value, _ := strings.Cut(way, "=")
	switch name {
	case "unmark":
		return unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil)
	case "mark":
		mark, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return err
		}
		return unix.Prlimit(0, unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: mark, Max: unix.RLIM_INFINITY}, nil)
	case "leave":
		return os.WriteFile(value, []byte(strconv.Itoa(os.Getpid())), 0)
	}
	return nil
}

// listener accepts the connections of peers.
type listener struct {
	*net.UnixListener
	t testing.TB
}

func listen(t testing.TB) listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "rn") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := os.Chmod(l.Addr().String(), 0o666); err != nil {
		t.Fatal(err)
	}
	return listener{l, t}
}

// accept returns the next connection and the process id that its peer has sent. The connection is
// closed when the test is over, and the peer has ended then.
func (l listener) accept() (*net.UnixConn, int) {
	l.t.Helper()
	_ = l.SetDeadline(time.Now().Add(patience))
	c, err := l.AcceptUnix()
	if err != nil {
		l.t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanln(c, &pid); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = c.Close()
		if pid != os.Getpid() && !poll(func() bool { return !alive(pid) }) {
			l.t.Errorf("peer %d does not end", pid)
		}
	})
	return c, pid
}

// peerSpec is a command that connects to the listener.
func (l listener) peerSpec(tag any, ways string) Spec {
	return Spec{Argv: []string{"/proc/self/exe"}, Env: []string{
		peerSocket + "=" + l.Addr().String(), peerWays + "=" + ways, "GORACE=atexit_sleep_ms=0",
	}, Tag: tag}
}

// markOf returns the soft RLIMIT_RTTIME of a process.
func markOf(t testing.TB, pid int) string {
	t.Helper()
	m, err := mark.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	if m == 0 {
		m = unix.RLIM_INFINITY
	}
	return strconv.FormatUint(m, 10)
}

func TestTagOfPeer(t *testing.T) {
	const own, other, none, refused = "own", "other", "none", "refused"
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		t.Run(string(kind), func(t *testing.T) {
			h := openHostWith(t, Options{Containment: kind, OnlyParent: true})
			l := listen(t)
			second := startOn(t, h, Spec{Argv: []string{"sleep", "600"}, Env: testEnv, Tag: other})
			forged := "mark=" + markOf(t, second.PID())
			ways := []struct{ ways, cgroup, marker, group string }{
				{"", own, own, own},
				{"child setsid", own, own, own},
				{"orphan", own, own, own},
				{"orphan setsid", own, own, none},
				{"unmark", own, own, own},
				{"child unmark", own, own, own},
				{"orphan setsid unmark", own, refused, none},
				{"child setsid " + forged, own, own, own},
				{"orphan setsid " + forged, own, other, none}, // only the mark is known of it
				{"exit", refused, refused, refused},
			}
			if root := h.unifiedRoot(); kind == Cgroup && root != "" {
				leave := "leave=" + root + "/cgroup.procs"
				ways = append(ways, struct{ ways, cgroup, marker, group string }{leave, own, "", ""},
					struct{ ways, cgroup, marker, group string }{"child unmark " + leave, own, "", ""},
					struct{ ways, cgroup, marker, group string }{"orphan " + leave, own, "", ""},
					struct{ ways, cgroup, marker, group string }{"orphan unmark " + leave, refused, "", ""})
			}
			for _, w := range ways {
				t.Run(w.ways, func(t *testing.T) {
					want := map[Containment]string{Cgroup: w.cgroup, Marker: w.marker, Group: w.group}[kind]
					p := startOn(t, h, l.peerSpec(own, w.ways))
					c, pid := l.accept()
					if w.ways == "exit" {
						_ = p.WaitExit()
						finish(p)
					}
					tag, found, err := h.TagOfPeer(c)
					got := fmt.Sprint(tag)
					if !found {
						got = none
					}
					if err != nil {
						got = refused
						if e, ok := errors.AsType[*PeerError](err); !ok || found || e.PID != pid && w.ways != "exit" {
							t.Errorf("error %#v, found %v", err, found)
						}
					}
					if got != want {
						t.Errorf("the process belongs to %q, %v; want %q", got, err, want)
					}
					if exited := errors.Is(err, peer.ErrExited); exited != (w.ways == "exit") {
						t.Errorf("error %v", err)
					}
				})
			}
		})
	}
}

// TestTagOfPeerOutside checks a process that belongs to no tree, this process itself, and a process
// of a tree of another host.
func TestTagOfPeerOutside(t *testing.T) {
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		t.Run(string(kind), func(t *testing.T) {
			l := listen(t)
			h, second := openHost(t, kind), openHost(t, kind)
			outside := exec.Command("/proc/self/exe")
			outside.Env = l.peerSpec(nil, "").Env
			if err := outside.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = outside.Wait() })
			connections := map[string]*net.UnixConn{}
			connections["a process of no tree"], _ = l.accept()
			startOn(t, second, l.peerSpec("other", ""))
			connections["a process of another host"], _ = l.accept()
			c, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = fmt.Fprintln(c, os.Getpid())
			connections["this process"], _ = l.accept()
			for name, c := range connections {
				if tag, found, err := h.TagOfPeer(c); found || tag != nil || err != nil {
					t.Errorf("%s: %v, %v, %v", name, tag, found, err)
				}
				_ = c.Close()
			}
		})
	}
}

// unifiedRoot returns the root of the hierarchy of version 2, or "" if it is not visible.
func (h *Host) unifiedRoot() string {
	for _, group := range h.identity.Record.Cgroups {
		for dir := filepath.Dir(group); dir != "/"; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err != nil {
				break
			}
			if _, err := os.Stat(filepath.Join(dir, "cgroup.type")); err != nil { // only the root has none
				return dir
			}
		}
	}
	return ""
}

// TestTagOfPeerOfOtherUsers checks commands that run as other users, one of which takes the mark of
// the command of another.
func TestTagOfPeerOfOtherUsers(t *testing.T) {
	needRoot(t)
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := script(t, publicDir(t)+"/test", string(text), 0o755)
	allHosts(t, func(t *testing.T, h *Host) {
		l := listen(t)
		victim := startOn(t, h, as(bob, Spec{Argv: []string{"sleep", "600"}, Env: testEnv, Tag: "bob"}))
		forged := "mark=" + markOf(t, victim.PID())
		for ways, want := range map[string]map[Containment]string{
			"":                 {Cgroup: "alice", Marker: "alice", Group: "alice"},
			"child setsid":     {Cgroup: "alice", Marker: "alice", Group: "alice"},
			"orphan":           {Cgroup: "alice", Marker: "alice", Group: "alice"},
			forged:             {Cgroup: "alice", Marker: "alice", Group: "alice"},
			"orphan " + forged: {Cgroup: "alice", Marker: "refused", Group: "alice"},
		} {
			spec := as(alice, l.peerSpec("alice", ways))
			spec.Argv = []string{program}
			startOn(t, h, spec)
			c, _ := l.accept()
			tag, found, err := h.TagOfPeer(c)
			got := fmt.Sprint(tag)
			if err != nil {
				got = "refused"
			}
			if got != want[h.kind] || found != (err == nil) {
				t.Errorf("%q: %q, %v, %v; want %s", ways, got, found, err, want[h.kind])
			}
			_ = c.Close()
		}
	})
}
