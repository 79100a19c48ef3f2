package main

import (
	"testing"
	"time"
)

func TestSinceTime(t *testing.T) {
	for text, ago := range map[string]time.Duration{"0s": 0, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute} {
		before := time.Now()
		var s sinceTime
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Error(err)
		}
		if s.Before(before.Add(-ago)) || s.After(time.Now().Add(-ago)) {
			t.Errorf("%s: %v", text, s)
		}
	}
	var s sinceTime
	if err := s.UnmarshalText([]byte("2026-01-02T15:04:05+01:00")); err != nil || s.Unix() != 1767362645 {
		t.Errorf("%v, %v", s, err)
	}
	for _, text := range []string{"", "10", "-1m", "yesterday", "2026-01-02", "10m ago"} {
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
