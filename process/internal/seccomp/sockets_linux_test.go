package seccomp

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

func socket(domain, typ, protocol int) func() error {
	return func() error {
		fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, protocol)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
}

func pair(typ int) func() error {
	return func() error {
		fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			_, _ = unix.Close(fds[0]), unix.Close(fds[1])
		}
		return err
	}
}

func TestSockets(t *testing.T) {
	local := socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	inet := socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	inet6 := socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	route := socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	uevent := socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT)
	tests := []struct {
		name     string
		o        Options
		attempts []attempt
	}{
		{"nothing", Options{}, []attempt{
			{"AF_UNIX", local, unix.EACCES}, {"AF_INET", inet, unix.EACCES}, {"AF_NETLINK", route, unix.EACCES},
			{"pair", pair(unix.SOCK_STREAM), 0}, {"SEQPACKET", pair(unix.SOCK_SEQPACKET), 0},
			{"DGRAM", pair(unix.SOCK_DGRAM), unix.EACCES}, {"RAW", pair(unix.SOCK_RAW), unix.EACCES},
		}},
		{"Unix sockets", Options{UnixSockets: sandbox.FullUnixSockets}, []attempt{
			{"AF_UNIX", local, 0}, {"AF_INET", inet, unix.EACCES}, {"DGRAM", pair(unix.SOCK_DGRAM), 0},
		}},
		{"network namespace", Options{OwnNetwork: true}, []attempt{
			{"AF_UNIX", local, unix.EACCES}, {"AF_INET", inet, 0}, {"route", route, 0}, {"uevent", uevent, unix.EAFNOSUPPORT},
		}},
		{"allow-list without a namespace", Options{Network: sandbox.AllowList}, []attempt{{"AF_INET", inet, unix.EACCES}}},
		{"network", Options{Network: sandbox.FullNetwork}, []attempt{
			{"AF_INET", inet, 0}, {"route", route, 0}, {"uevent", uevent, unix.EAFNOSUPPORT}, {"AF_UNIX", local, unix.EACCES},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachUser(t, func(t *testing.T, user *runas.User) {
				attempts := test.attempts
				if inet6() == nil {
					for _, a := range test.attempts {
						if a.name == "AF_INET" {
							attempts = append(attempts[:len(attempts):len(attempts)], attempt{"AF_INET6", inet6, a.want})
						}
					}
				}
				compare(t, user, test.o, attempts)
			})
		})
	}
}

// TestDatagramPair shows why pairs of datagram sockets are refused: one can be connected to a socket
// that is not of the pair.
func TestDatagramPair(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	outside, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(outside, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(outside)
	for typ, reached := range map[int]bool{unix.SOCK_DGRAM: true, unix.SOCK_STREAM: false, unix.SOCK_SEQPACKET: false} {
		fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		connected := unix.Connect(fds[0], &unix.SockaddrUnix{Name: path})
		_ = unix.Sendto(fds[0], []byte("x"), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: path})
		n, _, _ := unix.Recvfrom(outside, make([]byte, 1), unix.MSG_DONTWAIT)
		if (connected == nil) != reached || (n == 1) != reached {
			t.Errorf("type %d: connect %v, %d bytes arrived; want %v", typ, connected, n, reached)
		}
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	}
}
