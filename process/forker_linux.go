package process

import "runtime"

// forker is a thread that forks, and never ends before it is told to: the kernel sends a child its parent-death signal
// when the thread ends that forked it (PR_SET_PDEATHSIG), and the threads of the runtime's come and go.
type forker struct {
	work chan func()
	done chan struct{}
}

func newForker() *forker {
	f := &forker{work: make(chan func()), done: make(chan struct{})}
	go f.run()
	return f
}

func (f *forker) run() {
	runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
	defer close(f.done)
	for do := range f.work {
		do()
	}
}

// do runs a function on the thread and returns when it has. It is not called after stop.
func (f *forker) do(fn func()) {
	done := make(chan struct{})
	f.work <- func() {
		defer close(done)
		fn()
	}
	<-done
}

func (f *forker) stop() {
	close(f.work)
	<-f.done
}
