//go:build linux

package procfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRealtimeTimeout(t *testing.T) {
	for text, want := range map[string]uint64{
		"Limit   Soft\nMax realtime timeout      4611686018427387904 unlimited            us        \n": 1 << 62,
		"Max realtime timeout      unlimited            unlimited            us\n":                      0,
		"Max realtime timeout": 0, "": 0,
	} {
		if got := parseRealtimeTimeout([]byte(text)); got != want {
			t.Errorf("parseRealtimeTimeout(%q) = %d, want %d", text, got, want)
		}
	}
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_RTTIME, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur == unix.RLIM_INFINITY {
		limit.Cur = 0
	}
	if own, err := RealtimeTimeout(os.Getpid()); err != nil || own != limit.Cur {
		t.Errorf("RealtimeTimeout of this process = %d, %v; prlimit returns %d", own, err, limit.Cur)
	}
}
