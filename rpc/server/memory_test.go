//go:build linux

package server_test

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// memoryRate is how many bytes of memory one sample of the profile represents.
const memoryRate = 64 << 10

func init() { runtime.MemProfileRate = memoryRate }

// flat runs f and fails if the live heap of this process, which has the server and the clients,
// grows by more than bound meanwhile.
func flat(t *testing.T, bound int64, f func()) {
	t.Helper()
	base := live()
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			most = max(most, liveAtMost(base+bound))
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	defer func() {
		close(stop)
		if most := <-peak; most > base+bound {
			t.Errorf("memory grew from %d KiB to %d KiB", base>>10, most>>10)
		}
	}()
	f()
}

// liveAtMost is live, but repeats it if the result exceeds bound: what is allocated while a
// collection marks counts as reachable until the next one, which on a loaded machine is much
// garbage. What is really reachable is found each time.
func liveAtMost(bound int64) int64 {
	least := live()
	for i := 0; i < 4 && least > bound; i++ {
		least = min(least, live())
	}
	return least
}

// live returns how much of the heap was reachable at the last collection, from the profile: the
// figures of the runtime include what has become garbage during the collection, which is much
// while output flows.
func live() int64 {
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 10000)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		panic("too many places that allocate")
	}
	total := 0.0
	for _, r := range records[:n] {
		if objects := float64(r.InUseObjects()); objects > 0 { // as runtime/pprof scales samples
			size := float64(r.InUseBytes())
			total += size / (1 - math.Exp(-size/objects/memoryRate))
		}
	}
	return int64(total)
}

// TestEndedSessionKeepsNoEnvironment: the environment of a command is not kept with its record.
func TestEndedSessionKeepsNoEnvironment(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	large := strings.Repeat("x", 100<<10)
	flat(t, 6<<20, func() {
		for range 100 {
			p.ok("execute", object{"command": []string{"true"}, "env": object{"LARGE": large}, "wait": true}, nil)
		}
	})
}
