package main

import (
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestQueueTimeout checks what --queue-timeout sends.
func TestQueueTimeout(t *testing.T) {
	for text, want := range map[string]rpc.Seconds{
		"infinity": {Set: true, Null: true},
		"1m30s":    {Set: true, D: 90 * time.Second},
		"1ns":      {Set: true, D: 1},
		"0":        {},
		"0s":       {},
	} {
		var q queueTimeout
		if err := q.UnmarshalText([]byte(text)); err != nil || q.Seconds != want {
			t.Errorf("%s: %+v, %v", text, q.Seconds, err)
		}
	}
	for _, text := range []string{"", "-1s", "1", "inf", "null", "-infinity"} {
		if err := new(queueTimeout).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
