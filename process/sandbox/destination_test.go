package sandbox

import (
	"strings"
	"testing"
)

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]Destination{
		"example.org:443":          {"example.org", 443},
		"Example.ORG:443":          {"example.org", 443},
		"*.example.org:443":        {"*.example.org", 443},
		"_x.example.org:1":         {"_x.example.org", 1},
		"localhost:*":              {"localhost", 0},
		"192.0.2.1:65535":          {"192.0.2.1", 65535},
		"[2001:DB8::0:1]:443":      {"2001:db8::1", 443},
		"[::ffff:192.0.2.1]:443":   {"192.0.2.1", 443},
		"xn--bcher-kva.example:80": {"xn--bcher-kva.example", 80},
	} {
		if got, err := ParseDestination(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", ":", "a", "a:", ":1", "a:0", "a:65536", "a:-1", "a:+1", "a: 1", "a:http", "a b:1", "a..b:1", ".a:1", "a.:1",
		"*:443", "**.a.org:1", "a.*.org:1", "*a.org:1", "*.:1", "-a.org:1", "a-.org:1", "a/b:1", "a@b:1", "ä.org:1",
		"2001:db8::1:443", "[2001:db8::1]", "[a.org]:1", "[192.0.2.1]:1", "[fe80::1%eth0]:1", "[::1:1", "::1]:1",
		"127.1:80", "2130706433:80", "0x7f000001:80", "0x7f.0.0.1:80", "0177.0.0.1:80", "a.0x7f:80", "1.2.3.4.5:80",
		"*.0.0.1:80", strings.Repeat("a", 64) + ":1", strings.Repeat("a.", 127) + "a:1", "a\x00:1", "a:1:2",
	} {
		if got, err := ParseDestination(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		destination, host string
		port              uint16
		want              bool
	}{
		{"a.org:443", "a.org", 443, true},
		{"a.org:443", "A.org.", 443, true},
		{"a.org:443", "a.org", 80, false},
		{"a.org:*", "a.org", 80, true},
		{"a.org:*", "a.org", 0, false},
		{"a.org:443", "b.a.org", 443, false},
		{"*.a.org:443", "b.a.org", 443, true},
		{"*.a.org:443", "c.b.a.org", 443, true},
		{"*.a.org:443", "a.org", 443, false},
		{"*.a.org:443", ".a.org", 443, false},
		{"*.a.org:443", "*.a.org", 443, false},
		{"*.a.org:443", "xa.org", 443, false},
		{"*.a.org:443", "b.a.org.evil.example", 443, false},
		{"*.a.org:443", "evil.example/.a.org", 443, false},
		{"*.a.org:443", "evil\x00.a.org", 443, false},
		{"192.0.2.1:80", "192.0.2.1", 80, true},
		{"192.0.2.1:80", "::ffff:192.0.2.1", 80, true},
		{"192.0.2.1:80", "::ffff:c000:201", 80, true},
		{"192.0.2.1:80", "192.0.2.1.", 80, false},
		{"192.0.2.1:80", "192.0.513", 80, false},
		{"127.0.0.1:80", "localhost", 80, false},
		{"[2001:db8::1]:80", "2001:DB8:0::1", 80, true},
		{"[2001:db8::1]:80", "[2001:db8::1]", 80, false},
		{"[fe80::1]:80", "fe80::1%eth0", 80, false},
	} {
		d, err := ParseDestination(c.destination)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Matches(c.host, c.port); got != c.want {
			t.Errorf("%s and %q %d: %v", c.destination, c.host, c.port, got)
		}
	}
}

// FuzzParseDestination: what is parsed has one spelling, is valid, and matches itself only.
func FuzzParseDestination(f *testing.F) {
	for _, text := range []string{"a.org:443", "*.a.org:*", "[::1]:80", "1.2.3.4:1", "[::ffff:1.2.3.4]:*", "0x1:1"} {
		f.Add(text, "a.org", uint16(443))
	}
	f.Fuzz(func(t *testing.T, text, host string, port uint16) {
		d, err := ParseDestination(text)
		if err != nil {
			return
		}
		if again, err := ParseDestination(d.String()); err != nil || again != d {
			t.Errorf("%q is %+v, and %q is %+v (%v)", text, d, d.String(), again, err)
		}
		if err := d.check(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if !strings.HasPrefix(d.Host, "*") && !d.Matches(d.Host, max(d.Port, 1)) {
			t.Errorf("%+v does not match itself", d)
		}
		if both, ok := d.meet(d); !ok || both != d {
			t.Errorf("%+v meets itself in %+v", d, both)
		}
		if d.Matches(host, port) && !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), strings.TrimPrefix(d.Host, "*")) &&
			!strings.Contains(host, ":") {
			t.Errorf("%+v matches %q", d, host)
		}
	})
}
