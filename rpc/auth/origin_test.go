package auth

import (
	"net/http"
	"testing"
)

func TestCheckOrigin(t *testing.T) {
	for origin, valid := range map[string]bool{
		"https://example.org":        true,
		"https://example.org/":       true,
		"HTTPS://Example.org:8443":   true,
		"http://[::1]:8003":          true,
		"vscode-webview://*":         true,
		"https://*.example.org":      true,
		"https://*.example.org:8443": true,

		"":                         false,
		"*":                        false,
		"foo":                      false,
		"null":                     false,
		"example.org":              false,
		"example.org:443":          false,
		"://example.org":           false,
		"https://":                 false,
		"https://:8443":            false,
		"https://example.org:":     false,
		"https://example.org:port": false,
		"https://example.org:443":  false,
		"http://example.org:80":    false,
		"https://example.org/path": false,
		"https://example.org//":    false,
		"https://example.org?q":    false,
		"https://example.org?":     false,
		"https://example.org#f":    false,
		"https://example.org#":     false,
		"https://user@example.org": false,
		"https://*example.org":     false,
		"https://a.*.example.org":  false,
		"https://example.*":        false,
		"https://*.*.org":          false,
		"https://*.":               false,
		"https://*":                false,
		"HTTP://*":                 false,
		"https://*:8443":           false,
		"vscode-webview://*:1":     false,
		"https://*..org":           false,
		"https://*:port":           false,
		"https://*:":               false,
		"https://*/path":           false,
		"*://example.org":          false,
		"https://**":               false,
		"https://example.org:*":    false,
		"https://exa mple.org":     false,

		"https://127.0.0.1:3000":     true,
		"https://1.example":          true,
		"https://xn--mnchen-3ya.de":  true,
		"https://[2001:DB8::1]":      true,
		"https://[::ffff:1.2.3.4]":   true,
		"https://example.org:0":      true,
		"https://example.org:65535":  true,
		"ws://example.org":           false,
		"WSS://example.org":          false,
		"https://münchen.de":         false,
		"https://*.münchen.de":       false,
		"https://example.org:65536":  false,
		"https://example.org:08443":  false,
		"https://127.1":              false,
		"https://2130706433":         false,
		"https://256.0.0.1":          false,
		"https://[0:0::1]":           false,
		"https://[::1%25lo]":         false,
		"https://*.1":                false,
		"https://[example.org]:8003": false,
	} {
		if err := CheckOrigin(origin); (err == nil) != valid {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestOriginPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, origin string
		allowed         bool
	}{
		{"https://*.example.org", "https://a.example.org", true},
		{"https://*.example.org", "https://A.B.Example.org", true},
		{"https://*.example.org/", "https://a.example.org", true},
		{"https://*.example.org:8443", "https://a.example.org:8443", true},
		{"https://*.example.org", "https://example.org", false},
		{"https://*.example.org", "https://.example.org", false},
		{"https://*.example.org", "https://a..example.org", false},
		{"https://*.example.org", "https://evilexample.org", false},
		{"https://*.example.org", "https://a.example.org.evil", false},
		{"https://*.example.org", "https://example.org.evil", false},
		{"https://*.example.org", "https://evil/.example.org", false},
		{"https://*.example.org", "https://evil?.example.org", false},
		{"https://*.example.org", "https://evil#.example.org", false},
		{"https://*.example.org", "https://evil:80.example.org", false},
		{"https://*.example.org", "https://[::1].example.org", false},
		{"https://*.example.org", "https://evil%2f.example.org", false},
		{"https://*.example.org", "https://evil@a.example.org", false},
		{"https://*.example.org", "http://a.example.org", false},
		{"https://*.example.org", "https://a.example.org:8443", false},
		{"https://*.example.org:8443", "https://a.example.org", false},
		{"vscode-webview://*", "vscode-webview://1gu2kpd4", true},
		{"vscode-webview://*", "vscode-webview://", false},
		{"vscode-webview://*", "vscode-webview-2://1gu2kpd4", false},
		{"vscode-webview://*", "https://evil", false},
		{"https://*", "https://a.example.org", false},
		{"https://*:8443", "https://a.example.org:8443", false},
		{"https://*:8443", "https://a.example.org", false},
		{"https://*example.org", "https://a.example.org", false},
		{"*", "https://a.example.org", false},
		{"*", "null", false},
		{"https://*", "null", false},
	} {
		chain := &Chain{Origins: []string{c.pattern}}
		r := &http.Request{Host: "localhost", Header: http.Header{"Origin": {c.origin}}}
		if got := chain.classify(r) == allowedOrigin; got != c.allowed {
			t.Errorf("%s, %s: %v", c.pattern, c.origin, got)
		}
	}
}
