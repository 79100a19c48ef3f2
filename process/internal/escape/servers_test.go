//go:build linux

package escape

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// listenOn makes a server's socket, which waits for connections or datagrams.
func (w *world) listenOn(family, kind int, address unix.Sockaddr) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	w.fd["server"] = fd
	err = unix.Bind(fd, address)
	if err == nil && kind != unix.SOCK_DGRAM {
		err = unix.Listen(fd, 8)
	}
	return err
}

// contacted reports whether a connection or a datagram has arrived at the server.
func contacted(w *world, _ string) bool {
	fd := w.fd["server"]
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return false
	}
	if kind == unix.SOCK_DGRAM {
		_, _, err = unix.Recvfrom(fd, make([]byte, 64), unix.MSG_DONTWAIT)
		return err == nil
	}
	conn, _, err := unix.Accept(fd)
	if err == nil {
		_ = unix.Close(conn)
	}
	return err == nil
}

// unixServer returns a function that makes a Unix socket at a path in the directory of the world, or
// an abstract one if it begins with @.
func unixServer(kind int, name string) func(t testing.TB, w *world) {
	return func(t testing.TB, w *world) {
		t.Helper()
		if name[0] == '@' {
			w.Str["socket"] = "@" + w.Work
		} else {
			w.Str["socket"] = w.path(name)
		}
		err := w.listenOn(unix.AF_UNIX, kind, &unix.SockaddrUnix{Name: w.Str["socket"]})
		if err == nil && name[0] != '@' {
			err = errors.Join(os.Chmod(w.Str["socket"], 0o777), w.own(w.Str["socket"]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// inetServer returns a function that makes a server on an address of this machine.
func inetServer(kind int, address string) func(t testing.TB, w *world) {
	return func(t testing.TB, w *world) {
		t.Helper()
		ip := netip.MustParseAddr(address)
		family := unix.AF_INET
		if ip.Is6() {
			family = unix.AF_INET6
		}
		if err := w.listenOn(family, kind, sockaddr(address, 0)); err != nil {
			t.Skip("SKIPPED: ", address, ": ", err)
		}
		name, err := unix.Getsockname(w.fd["server"])
		if err != nil {
			t.Fatal(err)
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			w.Num["port"] = name.Port
		case *unix.SockaddrInet6:
			w.Num["port"] = name.Port
		}
	}
}

func sockaddr(address string, port int) unix.Sockaddr {
	ip := netip.MustParseAddr(address)
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
}

// contact connects to a server, or sends a datagram to it.
func contact(family, kind, protocol int, to unix.Sockaddr) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	if kind == unix.SOCK_DGRAM {
		return unix.Sendto(fd, []byte("escaped"), 0, to)
	}
	return unix.Connect(fd, to)
}

// listenTCP listens on a free port of an address.
func listenTCP(t testing.TB, address string) (net.Listener, uint16) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return l, uint16(l.Addr().(*net.TCPAddr).Port)
}
