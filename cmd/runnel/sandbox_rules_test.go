package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestRuleLog: each path is logged once for each cause, a missing one only in detail, and not without
// a bound.
func TestRuleLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := ruleLog{log: zerolog.New(&out).Level(zerolog.InfoLevel)}
	lines := func(want int, level string) {
		t.Helper()
		if got := strings.Count(out.String(), "\n"); got != want || strings.Count(out.String(), `"level":"`+level) != want {
			t.Errorf("%d lines, want %d with level %s: %.1000s", got, want, level, out.String())
		}
		out.Reset()
	}
	missing := process.UnusedRule{Path: "/a", Err: syscall.ENOENT}
	for range 2 {
		l.report(missing)
		l.report(process.UnusedRule{Path: "/a", Err: syscall.EACCES, Refused: true})
		l.report(process.UnusedRule{Path: "/a", Err: syscall.ENOENT, Refused: true})
		l.report(process.UnusedRule{Path: "/a", Err: sandbox.ErrLink})
	}
	lines(3, "warn")
	for i := range 2 * maxLoggedRules {
		l.report(process.UnusedRule{Path: fmt.Sprint("/", i), Err: sandbox.ErrLink})
	}
	if text := out.String(); !strings.Contains(text, "further paths") {
		t.Error("the last line is missing")
	}
	lines(maxLoggedRules-3+1, "warn")
	l = ruleLog{log: zerolog.New(&out).Level(zerolog.DebugLevel)}
	l.report(missing)
	l.report(missing)
	lines(1, "debug")
}
