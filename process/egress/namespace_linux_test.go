package egress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace calls f on a thread with a network namespace of its own, in which loopback is up. What f
// opens belongs to that namespace. It returns the error of making it.
func inNamespace(f func()) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := enterNamespace()
		if err == nil {
			f()
		}
		result <- err
	}()
	return <-result
}

func enterNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// TestNetworkNamespace reaches a server, from a namespace with nothing but loopback, through a proxy
// that listens there.
func TestNetworkNamespace(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) { io.WriteString(conn, "outside") })
	a := netip.MustParseAddrPort("127.0.0.1:" + port)
	err := inNamespace(func() {
		if conn, err := net.Dial("tcp", a.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("without the proxy: %v, %v", conn, err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		p := Start(l, Options{Allow: parseList(t, a.String())})
		defer p.Close()
		for _, test := range []struct{ port, want string }{
			{port, "HTTP/1.1 200 Connection established\r\n\r\noutside"}, {"1", "HTTP/1.1 403 "},
		} {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "CONNECT 127.0.0.1:%s HTTP/1.1\r\n\r\n", test.port)
			got := make([]byte, len(test.want))
			if _, err := io.ReadFull(conn, got); string(got) != test.want {
				t.Errorf("%q, %v", got, err)
			}
			conn.Close()
		}
	})
	if errors.Is(err, unix.EPERM) {
		t.Skip("making a network namespace needs CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatal(err)
	}
}
