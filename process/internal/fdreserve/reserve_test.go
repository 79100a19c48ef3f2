//go:build linux

package fdreserve

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestThreadServesRuntime checks that the reserve thread can do what any thread of the runtime
// does, despite its own descriptor table: collect garbage and wake up the poller.
func TestThreadServesRuntime(t *testing.T) {
	if err := Acquire(); err != nil {
		t.Fatal(err)
	}
	defer Release()
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Microsecond):
				}
			}
		})
	}
	var garbage [][]byte
	for i := range 3000 {
		n, err := onThread(func() (int, error) {
			garbage = append(garbage[:min(len(garbage), 10)], make([]byte, 64<<10))
			if i%100 == 0 {
				runtime.GC()
			}
			text, err := ReadFile("/proc/self/stat")
			return len(text), err
		}, unix.EMFILE)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		if i%10 == 0 {
			time.Sleep(20 * time.Microsecond)
		}
	}
	close(stop)
	others.Wait()
	names, err := onThread(func() ([]string, error) { return ReadDirNames("/proc/thread-self/fd") }, unix.EMFILE)
	if err != nil || len(names) > 5 { // standard error, two of the poller, and the directory that is read
		t.Errorf("the reserve thread has the descriptors %v, %v", names, err)
	}
}
