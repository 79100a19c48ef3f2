package mark

import (
	"slices"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

func TestScanIsSharedUntilItBegins(t *testing.T) {
	scans.running.Lock() // as a scan that is running
	s, first := nextScan()
	if again, more := nextScan(); !first || more || again != s {
		t.Error("two callers do not share the next scan")
	}
	done := make(chan struct{})
	go func() { s.run(); close(done) }()
	select {
	case <-s.done:
		t.Error("two scans run at once")
	default:
	}
	scans.running.Unlock()
	<-done
	later, first := nextScan()
	if !first || later == s {
		t.Error("a caller shares a scan that has begun")
	}
	later.run()
}

// TestScansFindEachLeader starts leaders while others are scanned for. Each is found by a scan that
// begins after its start.
func TestScansFindEachLeader(t *testing.T) {
	p := openProvider(t, false)
	var scanning sync.WaitGroup
	for range 8 {
		tree := proctest.Start(t, p, "exec sleep 60")
		scanning.Go(func() {
			for range 5 {
				found, err := scanMarked()
				if err != nil || !slices.ContainsFunc(found, func(m marked) bool { return m.pid == tree.Leader.PID }) {
					t.Errorf("leader %d is not among %d processes: %v", tree.Leader.PID, len(found), err)
				}
			}
		})
	}
	scanning.Wait()
}
