package main

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTokensAreAddedTogether: no token is lost if several are added at the same time.
func TestTokensAreAddedTogether(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	const n = 10
	var wg sync.WaitGroup
	for range n {
		x := p.runnel(t, "token", "new", "a", "--tokens=tokens.toml")
		wg.Go(func() { x.expectExit(0) })
	}
	wg.Wait()
	text, err := os.ReadFile(p.path("tokens.toml"))
	if got := strings.Count(string(text), "[[token]]"); got != n || err != nil {
		t.Errorf("%d tokens, %v", got, err)
	}
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"12h":                       "2026-03-02T00:00:00Z",
		"90m":                       "2026-03-01T13:30:00Z",
		"30d":                       "2026-03-31T12:00:00Z",
		"2026-03-02":                "2026-03-02T00:00:00Z",
		"2026-03-02T00:00:00+01:00": "2026-03-01T23:00:00Z",
	} {
		if got, err := parseExpiry(text, now); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0s", "-1h", "0d", "-3d", "2026-03-01", "1.5d", "30 d", "d", "never"} {
		if got, err := parseExpiry(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got, err := parseExpiry("", now); err != nil || !got.IsZero() {
		t.Error(got, err)
	}
}
