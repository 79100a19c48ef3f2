package egress

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestDialer: a dialer connects to what is listed, and to no address that is not public unless it is
// listed itself.
func TestDialer(t *testing.T) {
	checkLeaks(t)
	port := serveTCP(t, func(conn net.Conn) {})
	d := NewDialer(parseList(t, "site.example:"+port, "inner.example:*", "127.0.0.1:"+port))
	d.outbound.resolver = &resolver{hosts: map[string][]string{
		"site.example": {site}, "inner.example": {"10.0.0.1", "127.0.0.2"}, "other.example": {site},
	}}
	d.outbound.dialAddr = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		if a.Addr().String() == site {
			a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
		}
		return connect(ctx, a)
	}
	for address, want := range map[string]string{
		"site.example:" + port: "", "SITE.example.:" + port: "", "127.0.0.1:" + port: "",
		"other.example:" + port: "is not in network.allow", "127.0.0.2:" + port: "is not in network.allow",
		"site.example:1": "is not in network.allow", "inner.example:" + port: "has no public address",
	} {
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err == nil {
			conn.Close()
		}
		switch {
		case (err == nil) != (want == ""):
			t.Errorf("%s: %v", address, err)
		case err != nil && (!Refused(err) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	if _, err := d.DialContext(t.Context(), "tcp", "site.example"); err == nil || Refused(err) {
		t.Errorf("without a port: %v", err)
	}
}

// TestDialerAttempts: a dialer tries at most two addresses of a name at the same time, however many its owner
// gives it.
func TestDialerAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDialer(parseList(t, "site.example:443"))
		hosts := &resolver{hosts: map[string][]string{}}
		for i := range maxAddresses {
			hosts.hosts["site.example"] = append(hosts.hosts["site.example"], "198.51.101."+strconv.Itoa(i))
		}
		d.outbound.resolver = hosts
		var now, all atomic.Int64
		d.outbound.dialAddr = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			all.Add(1)
			if n := now.Add(1); n > 2 {
				t.Errorf("%d attempts at the same time", n)
			}
			defer now.Add(-1)
			select {
			case <-time.After(time.Second):
				return nil, syscall.ECONNREFUSED
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if _, err := d.DialContext(t.Context(), "tcp", "site.example:443"); err == nil {
			t.Error("connected")
		}
		if n := all.Load(); n != maxAddresses {
			t.Errorf("%d attempts", n)
		}
	})
}
