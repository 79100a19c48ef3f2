//go:build linux

package codex_test

import (
	"testing"
	"time"
)

// TestReadKeepsAProcess checks that a process is known until it was not read for the retention, however long
// ago it was closed, and then forgotten.
func TestReadKeepsAProcess(t *testing.T) {
	t.Parallel()
	const retention = time.Second
	for { // until no pause between two reads was too long
		c := serve(t, func(set *settings) { set.Codex.ClosedRetention = retention }).client()
		c.start("p", "echo hello")
		c.ended("p")
		params := map[string]any{"processId": "p"}
		closed := time.Now()
		last := closed
		known := true
		for known && time.Since(closed) < 4*retention {
			begun := time.Now()
			if known = c.call("process/read", params).Error == nil; !known && time.Since(last) < retention {
				t.Fatalf("the process is not known %v after it was read last", time.Since(last))
			}
			last = begun
			time.Sleep(retention / 20)
		}
		if !known {
			continue
		}
		forgotten := func() bool {
			time.Sleep(2 * retention) // a read keeps it
			return c.call("process/read", params).Error != nil
		}
		eventually(t, "the process is forgotten", forgotten)
		return
	}
}
