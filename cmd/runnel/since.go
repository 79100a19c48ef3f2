package main

import (
	"fmt"
	"time"
)

// sinceTime is the value of --since: a duration before now, or a time (RFC 3339).
type sinceTime struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *sinceTime) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		t.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a duration, as 10m, nor a time, as 2026-01-02T15:04:05Z", text)
	}
	t.Time = at
	return nil
}
