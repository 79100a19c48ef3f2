//go:build linux

package escape

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// networkAttempts use the network of the host.
func networkAttempts() []attempt {
	server := func(name, address string, kind, protocol int) attempt {
		family := unix.AF_INET
		if netip.MustParseAddr(address).Is6() {
			family = unix.AF_INET6
		}
		return attempt{name: name, part: network, maybe: name, prepare: inetServer(kind, address), escaped: contacted,
			try: func(w *world) error { return contact(family, kind, protocol, sockaddr(address, w.Num["port"])) }}
	}
	list := []attempt{
		server("connect to a loopback service by IPv4", "127.0.0.1", unix.SOCK_STREAM, 0),
		server("connect to a loopback service by IPv6", "::1", unix.SOCK_STREAM, 0),
		server("connect to another loopback address", "127.7.7.7", unix.SOCK_STREAM, 0),
		server("connect to a loopback service by Multipath TCP", "127.0.0.1", unix.SOCK_STREAM, unix.IPPROTO_MPTCP),
		server("send a datagram to a loopback service by IPv4", "127.0.0.1", unix.SOCK_DGRAM, 0),
		server("send a datagram to a loopback service by IPv6", "::1", unix.SOCK_DGRAM, 0),
		{name: "connect to the host by its own address", part: network, maybe: "address but loopback", escaped: contacted,
			prepare: func(t testing.TB, w *world) {
				w.Str["address"] = hostAddress(t)
				inetServer(unix.SOCK_STREAM, w.Str["address"])(t, w)
			},
			try: func(w *world) error {
				return contact(unix.AF_INET, unix.SOCK_STREAM, 0, sockaddr(w.Str["address"], w.Num["port"]))
			}},
		{name: "connect by TCP Fast Open", part: network,
			prepare: inetServer(unix.SOCK_STREAM, "127.0.0.1"), escaped: contacted,
			try: func(w *world) error {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err != nil {
					return err
				}
				return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, sockaddr("127.0.0.1", w.Num["port"]))
			}},
		{name: "connect to an unspecified address", part: network,
			prepare: inetServer(unix.SOCK_STREAM, "127.0.0.1"), escaped: contacted,
			try: func(w *world) error {
				return contact(unix.AF_INET, unix.SOCK_STREAM, 0, sockaddr("0.0.0.0", w.Num["port"]))
			}},
		{name: "connect by an IPv6 socket to an IPv4 address", part: network, maybe: "IPv6",
			prepare: inetServer(unix.SOCK_STREAM, "127.0.0.1"), escaped: contacted,
			try: func(w *world) error {
				return contact(unix.AF_INET6, unix.SOCK_STREAM, 0, sockaddr("::ffff:127.0.0.1", w.Num["port"]))
			}},
		{name: "ask a name server", part: network, prepare: inetServer(unix.SOCK_DGRAM, "127.0.0.1"), escaped: contacted,
			try: func(w *world) error {
				query := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x07example\x00\x00\x01\x00\x01")
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
				if err != nil {
					return err
				}
				return unix.Sendto(fd, query, 0, sockaddr("127.0.0.1", w.Num["port"]))
			}},
		{name: "connect by io_uring", part: network, maybe: "io_uring",
			prepare: inetServer(unix.SOCK_STREAM, "127.0.0.1"), escaped: contacted,
			try: func(w *world) error {
				fd, err := socketByRing(unix.AF_INET, unix.SOCK_STREAM)
				if err != nil {
					return err
				}
				return unix.Connect(fd, sockaddr("127.0.0.1", w.Num["port"]))
			}},
		{name: "let the host connect", part: network, escaped: contactable,
			try: func(w *world) error {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err != nil {
					return err
				}
				if err := unix.Bind(fd, sockaddr("127.0.0.1", w.Num["port"])); err != nil {
					return err
				}
				if err := unix.Listen(fd, 1); err != nil {
					return err
				}
				return w.await()
			},
			prepare: func(t testing.TB, w *world) { // a port that is free
				inetServer(unix.SOCK_STREAM, "127.0.0.1")(t, w)
				_ = unix.Close(w.fd["server"])
				delete(w.fd, "server")
			},
			during: func(t testing.TB, w *world) {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err == nil {
					if unix.Connect(fd, sockaddr("127.0.0.1", w.Num["port"])) == nil {
						w.Num["dialed"] = 1
					}
					_ = unix.Close(fd)
				}
			}},
		routed("reach the cloud metadata service by IPv4", "169.254.169.254"),
		routed("reach the cloud metadata service by IPv6", "fd00:ec2::254"),
		routed("reach a private address", "10.255.255.254"),
		routed("reach a public address", "192.0.2.1"),
	}
	return append(list, familyAttempts()...)
}

// routed connects a datagram socket, which finds a route and sends nothing.
func routed(name, address string) attempt {
	return attempt{name: name, part: network, maybe: "route to " + address, try: func(*world) error {
		family := unix.AF_INET
		if netip.MustParseAddr(address).Is6() {
			family = unix.AF_INET6
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Connect(fd, sockaddr(address, 80))
	}}
}

// hostAddress returns an IPv4 address of this machine that is not a loopback one.
func hostAddress(t testing.TB) string {
	t.Helper()
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() {
			return prefix.Addr().String()
		}
	}
	t.Skip("SKIPPED: this machine has loopback addresses only")
	return ""
}

// familyAttempts make sockets of families that ordinary programs do not need.
func familyAttempts() []attempt {
	const smc, xdp = 43, 44
	kinds := []struct {
		name                   string
		family, kind, protocol int
		root                   bool
	}{
		{"a packet socket", unix.AF_PACKET, unix.SOCK_RAW, 0, true},
		{"a cooked packet socket", unix.AF_PACKET, unix.SOCK_DGRAM, 0, true},
		{"a raw IPv4 socket", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, true},
		{"a raw IPv6 socket", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, true},
		{"an XDP socket", xdp, unix.SOCK_RAW, 0, true},
		{"a vsock socket", unix.AF_VSOCK, unix.SOCK_STREAM, 0, false},
		{"a socket of the kernel's cryptography", unix.AF_ALG, unix.SOCK_SEQPACKET, 0, false},
		{"a key management socket", unix.AF_KEY, unix.SOCK_RAW, 2, true},
		{"an SMC socket", smc, unix.SOCK_STREAM, 0, false},
		{"a TIPC socket", unix.AF_TIPC, unix.SOCK_STREAM, 0, false},
		{"a CAN socket", unix.AF_CAN, unix.SOCK_RAW, 1, false},
		{"a Bluetooth socket", unix.AF_BLUETOOTH, unix.SOCK_RAW, 1, false},
		{"an RDS socket", unix.AF_RDS, unix.SOCK_SEQPACKET, 0, false},
		{"an audit netlink socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT, false},
		{"a uevent netlink socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT, false},
		{"a connector netlink socket", unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_CONNECTOR, false},
		{"a netfilter netlink socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER, false},
		{"a socket diagnosis netlink socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG, false},
		{"a generic netlink socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC, false},
		{"a transformation netlink socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM, false},
	}
	var list []attempt
	for _, k := range kinds {
		list = append(list, attempt{name: "make " + k.name, part: always, root: k.root, maybe: k.name, try: func(*world) error {
			_, err := unix.Socket(k.family, k.kind, k.protocol)
			return err
		}})
	}
	return append(list, attempt{
		name: "make a socket of another family with high bits", part: always, maybe: "netlink",
		try: func(*world) error {
			_, _, errno := unix.Syscall(unix.SYS_SOCKET, unix.AF_NETLINK|1<<32, unix.SOCK_RAW|1<<32, unix.NETLINK_GENERIC|1<<32)
			if errno != 0 {
				return errno
			}
			return nil
		}})
}
