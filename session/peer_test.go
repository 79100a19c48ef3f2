//go:build linux

package session

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// connectTo is the variable that makes this program connect to a Unix socket, instead of running
// the tests.
const connectTo = "RUNNEL_TEST_CONNECT"

func connect(path string) {
	c, err := net.Dial("unix", path)
	if err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, c)
	os.Exit(0)
}

func TestSessionOfPeer(t *testing.T) {
	dir, err := os.MkdirTemp("", "rn") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accept := func() *net.UnixConn {
		_ = l.SetDeadline(time.Now().Add(patience))
		c, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	r := registry(t, Options{})
	for _, id := range []string{"one", "two"} {
		spec := sh(id, id)
		spec.Owner, spec.Role = "owner of "+id, access.Observe
		spec.Program.Argv = []string{"/proc/self/exe"}
		spec.Program.Env = []string{connectTo + "=" + l.Addr().String()}
		start(t, r, spec)
		s, err := r.SessionOfPeer(accept())
		if err != nil || s == nil || s.ID() != id || s.Spec().Owner != spec.Owner || s.Spec().Role != access.Observe {
			t.Errorf("session %+v, %v, want %s", s, err, id)
		}
	}
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s, err := r.SessionOfPeer(accept()); s != nil || err != nil {
		t.Errorf("this process belongs to %+v, %v", s, err)
	}
}
