//go:build linux

package escape

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// allowListAttempts reach what is not listed, with and without the proxy. Package egress has the
// tests of the proxy itself.
func allowListAttempts() []attempt {
	reach := func(name, address string, kind int, try func(w *world, to string) error) attempt {
		return attempt{name: name + " with an allow-list", part: allowList, rules: allowNothingHere,
			prepare: func(t testing.TB, w *world) {
				if w.Str["address"] = address; address == "" {
					w.Str["address"] = hostAddress(t)
				}
				inetServer(kind, w.Str["address"])(t, w)
			},
			try: func(w *world) error {
				return try(w, net.JoinHostPort(w.Str["address"], fmt.Sprint(w.Num["port"])))
			},
			escaped: contacted}
	}
	directly := func(kind int) func(w *world, _ string) error {
		return func(w *world, _ string) error {
			family := unix.AF_INET
			if netip.MustParseAddr(w.Str["address"]).Is6() {
				family = unix.AF_INET6
			}
			return contact(family, kind, 0, sockaddr(w.Str["address"], w.Num["port"]))
		}
	}
	tunnel := func(_ *world, to string) error { return byTunnel(to) }
	return []attempt{
		reach("connect to the host's loopback", "127.0.0.1", unix.SOCK_STREAM, directly(unix.SOCK_STREAM)),
		reach("connect to the host's address", "", unix.SOCK_STREAM, directly(unix.SOCK_STREAM)),
		reach("send a datagram to the host", "127.0.0.1", unix.SOCK_DGRAM, directly(unix.SOCK_DGRAM)),
		reach("tunnel to the host's loopback", "127.0.0.1", unix.SOCK_STREAM, tunnel),
		reach("tunnel to the host's address", "", unix.SOCK_STREAM, tunnel),
		reach("tunnel to the host by a name", "127.0.0.1", unix.SOCK_STREAM, func(w *world, _ string) error {
			return byTunnel(fmt.Sprintf("localhost:%d", w.Num["port"]))
		}),
		reach("tunnel to the host by a mapped address", "127.0.0.1", unix.SOCK_STREAM, func(w *world, _ string) error {
			return byTunnel(fmt.Sprintf("[::ffff:127.0.0.1]:%d", w.Num["port"]))
		}),
		reach("request the host", "127.0.0.1", unix.SOCK_STREAM, func(_ *world, to string) error { return byRequest(to) }),
		reach("request the host by SOCKS", "127.0.0.1", unix.SOCK_STREAM, func(w *world, to string) error {
			return bySOCKS(to, uint16(w.Num["port"]))
		}),
	}
}

// allowNothingHere lists a destination that is not on this machine.
func allowNothingHere(w *world) {
	w.config.Network = sandbox.Network{Mode: sandbox.AllowList, Allow: []sandbox.Destination{{Host: "example.org", Port: 443}}}
}

// dialProxy connects to the proxy, or if there is none, directly.
func dialProxy(to string) (conn net.Conn, direct bool, err error) {
	proxy, err := url.Parse(os.Getenv("HTTP_PROXY"))
	if err != nil {
		return nil, false, err
	}
	if proxy.Host == "" {
		conn, err = net.Dial("tcp", to)
		return conn, true, err
	}
	conn, err = net.Dial("tcp", proxy.Host)
	return conn, false, err
}

func byTunnel(to string) error {
	conn, direct, err := dialProxy(to)
	if err != nil || direct {
		return err
	}
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	return answered(http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect}))
}

func byRequest(to string) error {
	conn, direct, err := dialProxy(to)
	if err != nil || direct {
		return err
	}
	fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	return answered(http.ReadResponse(bufio.NewReader(conn), nil))
}

func answered(response *http.Response, err error) error {
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return err
}

// bySOCKS connects to a port of 127.0.0.1 (RFC 1928).
func bySOCKS(to string, port uint16) error {
	conn, direct, err := dialProxy(to)
	if err != nil || direct {
		return err
	}
	_, err = conn.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(port >> 8), byte(port)})
	answer := make([]byte, 2+4)
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil && answer[3] != 0 {
		err = fmt.Errorf("SOCKS reply %d", answer[3])
	}
	return err
}
