package mcp

import (
	"errors"
	"testing"
)

// TestParseURL: what cannot identify a resource, and what the server could not serve the metadata of.
func TestParseURL(t *testing.T) {
	for _, text := range []string{"https://host.example/mcp", "http://[::1]:8003/mcp", "https://host.example", "https://host.example/a%2Fb"} {
		if u, err := ParseURL(text); err != nil || u.String() != text {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
	for _, text := range []string{
		"", "mcp", "/mcp", "https://", "https:///mcp", "ftp://host.example/mcp", "https://host.example/", "https://host.example/mcp/",
		"https://host.example/mcp?a", "https://host.example/mcp?", "https://host.example/mcp#", "https://user@host.example/mcp",
		"https://host.example/a/../mcp", "https://host.example//mcp", "https://host.example/{a...}", "https://host.example/%zz",
	} {
		if u, err := ParseURL(text); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
}
