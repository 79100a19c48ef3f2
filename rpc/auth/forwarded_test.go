package auth

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/access"
)

func TestForwarded(t *testing.T) {
	proxies := &Proxies{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, Unix: true}
	for _, c := range []struct {
		remote, forwarded, xff, want string
	}{
		{"10.0.0.1:1", "", "", ""},
		{"10.0.0.1:1", "for=192.0.2.1", "", "192.0.2.1"},
		{"10.0.0.1:1", "", "192.0.2.1", "192.0.2.1"},
		{"[::ffff:10.0.0.1]:1", "", "192.0.2.1", "192.0.2.1"},
		{"[fd00::1]:1", "", "192.0.2.1", "192.0.2.1"},
		{"192.0.2.9:1", "for=192.0.2.1", "192.0.2.1", ""},
		{"10.0.0.1:1", "for=1.1.1.1, for=192.0.2.1", "", "192.0.2.1"},
		{"10.0.0.1:1", "", "1.1.1.1, 192.0.2.1, 10.1.1.1", "192.0.2.1"},
		{"10.0.0.1:1", "", "10.1.1.1", "10.1.1.1"},
		{"10.0.0.1:1", "", "192.0.2.1, unknown", ""},
		{"10.0.0.1:1", "", "192.0.2.1,", ""},
		{"10.0.0.1:1", "", "192.0.2.1:80", "192.0.2.1"},
		{"10.0.0.1:1", "", "[2001:db8::1]:80", "2001:db8::1"},
		{"10.0.0.1:1", "", "2001:db8::1", "2001:db8::1"},
		{"10.0.0.1:1", `by=x;FOR="[2001:db8::1]:4711";proto=https`, "", "2001:db8::1"},
		{"10.0.0.1:1", `for="192.0.2.1:80" ; by="a,b;c"`, "", "192.0.2.1"},
		{"10.0.0.1:1", `for="19\2.0.2.1"`, "", "192.0.2.1"},
		{"10.0.0.1:1", "for=_hidden", "", ""},
		{"10.0.0.1:1", "for=unknown", "", ""},
		{"10.0.0.1:1", "for=2001:db8::1", "", ""},
		{"10.0.0.1:1", `for="2001:db8::1"`, "", ""},
		{"10.0.0.1:1", "for=1.1.1.1;for=192.0.2.1", "", ""},
		{"10.0.0.1:1", `for="192.0.2.1`, "", ""},
		{"10.0.0.1:1", "for=192.0.2.1 x", "", ""},
		{"10.0.0.1:1", "for=192.0.2.1, by=x", "", ""},
		{"10.0.0.1:1", "for=192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"10.0.0.1:1", "for=1.1.1.1", "192.0.2.1", ""}, // one of them is the client's
		{"unix", "", "192.0.2.1", "192.0.2.1"},
		{"no proxy", "", "192.0.2.1", ""},
	} {
		r := httptest.NewRequest("GET", "/ws", nil)
		r.RemoteAddr = c.remote
		switch c.remote {
		case "unix":
			r = r.WithContext(access.WithPeer(r.Context(), access.Peer{Unix: true, Proxy: true}))
		case "no proxy":
			r = r.WithContext(access.WithPeer(r.Context(), access.Peer{Unix: true}))
		}
		if c.forwarded != "" {
			r.Header.Set("Forwarded", c.forwarded)
		}
		if c.xff != "" {
			r.Header.Set("X-Forwarded-For", c.xff)
		}
		a, ok := proxies.Client(r)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%+v: %v, %v", c, a, ok)
		}
	}
	if _, ok := (*Proxies)(nil).Client(httptest.NewRequest("GET", "/", nil)); ok {
		t.Error("without proxies there is a client")
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add(`for="[2001:db8::1]:4711";proto=https, for=192.0.2.1`, "1.1.1.1, 10.0.0.1")
	f.Fuzz(func(t *testing.T, forwarded, xff string) {
		p := &Proxies{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		r := httptest.NewRequest("GET", "/ws", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("Forwarded", forwarded)
		r.Header.Set("X-Forwarded-For", xff)
		if a, ok := p.Client(r); ok != a.IsValid() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%v, %v", a, ok)
		}
		// What is appended by the proxy counts, whatever the client has sent.
		r.Header.Del("X-Forwarded-For")
		r.Header.Add("Forwarded", "for=192.0.2.7")
		if a, ok := p.Client(r); !ok || a.String() != "192.0.2.7" {
			t.Errorf("appended: %v, %v", a, ok)
		}
	})
}
