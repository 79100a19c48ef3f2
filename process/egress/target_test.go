package egress

import (
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"example.org:443": "example.org:443", "EXAMPLE.org.:1": "example.org:1", "example.org": "example.org:80",
		"example.org:": "example.org:80", "[2001:DB8::1]:443": "[2001:db8::1]:443", "[::1]": "[::1]:80",
		"[::ffff:10.0.0.1]:1": "10.0.0.1:1", "10.0.0.1:65535": "10.0.0.1:65535", "10.0.0.1.:1": "10.0.0.1:1", "xn--bcher-kva.example": "xn--bcher-kva.example:80",
		"a_b.example:1": "a_b.example:1",

		"": "", ":1": "", ".:1": "", "..:1": "", ".a:1": "", "a..b:1": "", "example.org:0": "", "example.org:65536": "", "example.org:+1": "", "example.org:a": "",
		"2001:db8::1:443": "", "[fe80::1%eth0]:1": "", "[example.org]:1": "", "[10.0.0.1]:1": "", "[::1": "", "a b:1": "",
		"user@example.org:1": "", "example.org:1/path": "", "bücher.example:1": "", "a\x00b:1": "", "a%2eb:1": "", "*.example.org:1": "",
		strings.Repeat("a", 254) + ":1": "",
	} {
		got, err := parseTarget(text, 80)
		if want == "" && err == nil || want != "" && got.String() != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestAllowList(t *testing.T) {
	list := parseList(t, "example.org:443", "*.site.example:443", "any.example:*", "10.0.0.1:80", "[2606:4700::1]:443")
	for text, want := range map[string]bool{
		"example.org:443": true, "EXAMPLE.ORG.:443": true, "example.org:80": false, "www.example.org:443": false,
		"site.example:443": false, "a.site.example:443": true, "a.b.site.example:443": true, "asite.example:443": false,
		".site.example:443": false, "any.example:1": true, "any.example:65535": true,
		"10.0.0.1:80": true, "[::ffff:10.0.0.1]:80": true, "10.0.0.1:81": false, "10.0.0.2:80": false,
		"[2606:4700:0:0::1]:443": true, "2130706433:80": false, "0x0a000001:80": false, "10.1:80": false, "012.0.0.1:80": false,
	} {
		got, err := parseTarget(text, 0)
		if permitted := err == nil && list.permits(got.host, got.port); permitted != want {
			t.Errorf("%s: %t, %v", text, permitted, err)
		}
	}
}

func parseList(t testing.TB, texts ...string) (list allowList) {
	for _, text := range texts {
		d, err := sandbox.ParseDestination(text)
		if err != nil {
			t.Fatalf("%s %v", text, err)
		}
		list = append(list, d)
	}
	return list
}

// FuzzTarget checks that nothing but the listed hosts is permitted, however they are written.
func FuzzTarget(f *testing.F) {
	list := parseList(f, "example.org:443", "*.site.example:443", "10.0.0.1:80")
	for _, s := range []string{"example.org:443", "a.site.example.:443", "[::ffff:a00:1]:80", "127.1:443", "8.0.0.8.", "[fe80::1%25lo]:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTarget(text, 443)
		if err != nil {
			return
		}
		again, err := parseTarget(got.String(), 0)
		if err != nil || again != got {
			t.Errorf("%q is %+v, which is %+v, %v", text, got, again, err)
		}
		if !list.permits(got.host, got.port) {
			return
		}
		name := strings.HasSuffix(got.host, ".site.example") && len(got.host) > len(".site.example")
		if s := got.String(); s != "example.org:443" && s != "10.0.0.1:80" && !(name && got.port == 443) {
			t.Errorf("%q is permitted", text)
		}
	})
}
