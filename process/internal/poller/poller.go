// Package poller waits for files to become readable without a goroutine for each. A file that is
// parked costs an entry in a table; one goroutine waits for all parked files of a Poller.
package poller

import (
	"slices"
	"sync"
)

// Poller waits for its files. On Linux it holds no thread.
type Poller struct {
	queue queue
	done  sync.WaitGroup // the goroutine of queue.run

	mu    sync.Mutex
	files []*File // by descriptor
}

// Open returns a poller without files. Its error is that of the kernel, such as EMFILE.
func Open() (*Poller, error) {
	p := new(Poller)
	if err := p.queue.open(); err != nil {
		return nil, err
	}
	p.done.Go(func() { p.queue.run(p.wake) })
	return p, nil
}

// Close ends the poller. Files that are still open are checked at intervals from then on. A nil
// Poller is ignored.
func (p *Poller) Close() {
	if p == nil {
		return
	}
	p.queue.close()
	p.done.Wait()
	p.mu.Lock()
	files := slices.Clone(p.files)
	p.mu.Unlock()
	for _, f := range files {
		if f != nil {
			f.wake()
		}
	}
}

// wake wakes a file that the kernel reports. The event may be that of a file that was closed, if
// its pipe is still open in a child that is being forked. A file that has its descriptor by now is
// then woken for nothing, which is harmless.
func (p *Poller) wake(fd int) {
	if f := p.file(fd); f != nil {
		f.wake()
	}
}

func (p *Poller) file(fd int) *File {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files[fd]
}

// set makes f the file of a descriptor; nil is none.
func (p *Poller) set(fd int, f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.files) <= fd {
		p.files = append(p.files, nil)
	}
	p.files[fd] = f
}

// shared is the poller of files that have no other. It is never closed. It is nil if the kernel had
// no resources.
var shared = sync.OnceValue(func() *Poller {
	p, _ := Open()
	return p
})
