package process

import (
	"syscall"
	"time"
)

const (
	// maxAdjusting is how many started commands wait to be adjusted. Beyond it Start does it itself.
	maxAdjusting = 1024
	// adjustAgain is when a value is set again that the kernel did not take (EAGAIN). It is the kernel's own interval.
	adjustAgain = 100 * time.Millisecond
)

// adjuster gives commands that were started what only other processes' files in /proc can set, without delaying Start.
type adjuster struct {
	nice  int // of the autogroup of each; 0 is left alone
	queue chan *leader
	done  chan struct{}
}

// newAdjuster returns nil if there is nothing to adjust.
func newAdjuster(nice int) *adjuster {
	if nice == 0 {
		return nil
	}
	a := &adjuster{nice: nice, queue: make(chan *leader, maxAdjusting), done: make(chan struct{})}
	go a.run()
	return a
}

// add is called right after the exec, and not after stop.
func (a *adjuster) add(l *leader) {
	select {
	case a.queue <- l:
	default:
		a.adjust(l)
	}
}

func (a *adjuster) stop() {
	close(a.queue)
	<-a.done
}

func (a *adjuster) run() {
	defer close(a.done)
	var again []*leader // at most one per command that runs
	timer := time.NewTimer(adjustAgain)
	for {
		select {
		case l, ok := <-a.queue:
			if !ok {
				return
			}
			if !a.adjust(l) {
				again = append(again, l)
				timer.Reset(adjustAgain)
			}
		case <-timer.C:
			left := again[:0]
			for _, l := range again {
				if !a.adjust(l) {
					left = append(left, l)
				}
			}
			if again = left; len(again) > 0 {
				timer.Reset(adjustAgain)
			}
		}
	}
}

// adjust is false if it is to be tried again.
func (a *adjuster) adjust(l *leader) (done bool) {
	_ = l.hold(func(_ int, reaped bool) error {
		done = reaped || setAutogroupNice(l.pid, a.nice) != syscall.EAGAIN
		return nil
	})
	return done
}
