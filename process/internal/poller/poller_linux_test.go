package poller

import (
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds each wait of these tests, which need a fraction of it.
const patience = 20 * time.Second

func open(t *testing.T) *Poller {
	t.Helper()
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// pipe returns a file of p that reads what is written to w.
func pipe(t testing.TB, p *Poller) (f *File, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	f = new(File)
	f.Init(p, fds[0])
	w = os.NewFile(uintptr(fds[1]), "w")
	t.Cleanup(func() { _, _ = f.Close(), w.Close() })
	return f, w
}

var oneByte = []byte("x")

func write(t testing.TB, w *os.File) {
	t.Helper()
	if _, err := w.Write(oneByte); err != nil {
		t.Fatal(err)
	}
}

// read reads once, and returns what read(2) does.
func read(f *File) (int, error) { return readInto(f, make([]byte, 16)) }

func readInto(f *File, buf []byte) (int, error) {
	fd, _, err := f.Lock()
	if err != nil {
		return 0, err
	}
	defer f.Unlock()
	return unix.Read(fd, buf)
}

// resumed counts calls of Resume.
type resumed struct{ c chan struct{} }

func newResumed() resumed { return resumed{make(chan struct{}, 8)} }

func (r resumed) Resume() { r.c <- struct{}{} }

func (r resumed) await(t testing.TB, why string) {
	t.Helper()
	select {
	case <-r.c:
	case <-time.After(patience):
		t.Fatalf("%s: not resumed", why)
	}
}

// eachPoller runs a test with a poller, with a closed one, and with none, as if the kernel had no
// resources.
func eachPoller(t *testing.T, f func(t *testing.T, open func(t *testing.T) (f *File, w *os.File))) {
	t.Run("open", func(t *testing.T) {
		p := open(t)
		f(t, func(t *testing.T) (*File, *os.File) { return pipe(t, p) })
	})
	t.Run("closed", func(t *testing.T) {
		p, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		f(t, func(t *testing.T) (*File, *os.File) { return pipe(t, p) })
	})
	t.Run("none", func(t *testing.T) {
		f(t, func(t *testing.T) (*File, *os.File) {
			f, w := pipe(t, nil)
			f.poller = nil
			return f, w
		})
	})
}

func TestParkResumes(t *testing.T) {
	eachPoller(t, func(t *testing.T, open func(t *testing.T) (*File, *os.File)) {
		for why, end := range map[string]func(t *testing.T, f *File, w *os.File){
			"data":           func(t *testing.T, f *File, w *os.File) { write(t, w) },
			"end":            func(t *testing.T, f *File, w *os.File) { _ = w.Close() },
			"deadline":       func(t *testing.T, f *File, w *os.File) { f.SetDeadline(time.Now().Add(time.Millisecond)) },
			"passed":         func(t *testing.T, f *File, w *os.File) { f.SetDeadline(time.Unix(1, 0)) },
			"close":          func(t *testing.T, f *File, w *os.File) { _ = f.Close() },
			"long deadline":  func(t *testing.T, f *File, w *os.File) { f.SetDeadline(time.Now().Add(time.Hour)); write(t, w) },
			"later deadline": func(t *testing.T, f *File, w *os.File) { f.SetDeadline(time.Time{}); write(t, w) },
		} {
			for _, before := range []bool{false, true} { // whether the event is before Park
				f, w := open(t)
				r := newResumed()
				if why == "later deadline" {
					f.SetDeadline(time.Now().Add(time.Hour))
				}
				if before {
					end(t, f, w)
				}
				f.Park(r)
				if !before {
					end(t, f, w)
				}
				r.await(t, why)
				_ = f.Close()
				if len(r.c) > 0 {
					t.Errorf("%s: resumed twice", why)
				}
			}
		}
	})
}

func TestParkAgain(t *testing.T) {
	eachPoller(t, func(t *testing.T, open func(t *testing.T) (*File, *os.File)) {
		f, w := open(t)
		r := newResumed()
		for range 20 {
			f.Park(r)
			write(t, w)
			for {
				r.await(t, "data")
				if n, _ := read(f); n == 1 {
					break
				}
				f.Park(r) // it was resumed for nothing
			}
		}
	})
}

func TestParkedFileIsNotResumed(t *testing.T) {
	f, w := pipe(t, open(t))
	r := newResumed()
	f.Park(r)
	write(t, w)
	r.await(t, "data")
	write(t, w) // it is not parked any more
	other, otherW := pipe(t, f.poller)
	other.Park(r)
	write(t, otherW)
	r.await(t, "data of the other")
	if len(r.c) > 0 {
		t.Error("a file that is not parked is resumed")
	}
}

func TestParkTakesNoGoroutine(t *testing.T) {
	p := open(t)
	before := runtime.NumGoroutine()
	for range 100 {
		f, _ := pipe(t, p)
		f.Park(newResumed())
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines more for 100 parked files", n-before)
	}
}

func TestParkAllocatesNothing(t *testing.T) {
	f, w := pipe(t, open(t))
	r := newResumed()
	var parked Resumer = r
	buf := make([]byte, 16)
	allocs := testing.AllocsPerRun(100, func() {
		f.Park(parked)
		write(t, w)
		<-r.c
		_, _ = readInto(f, buf)
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestReusedDescriptor closes files whose pipe another descriptor keeps open, as in a child that is
// being forked, and whose number the next file has. An event of the old pipe must not keep the next
// file from being resumed.
func TestReusedDescriptor(t *testing.T) {
	p := open(t)
	for range 100 {
		f, w := pipe(t, p)
		copied, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		old := f.fd
		f.Park(newResumed())
		_ = f.Close()
		next, nextW := pipe(t, p)
		if next.fd != old {
			t.Fatalf("descriptor %d after %d", next.fd, old)
		}
		r := newResumed()
		next.Park(r)
		write(t, w)
		write(t, nextW)
		r.await(t, "data")
		_, _, _, _ = unix.Close(copied), next.Close(), w.Close(), nextW.Close()
	}
}

func TestPollerCloseLeavesFilesUsable(t *testing.T) {
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	f, w := pipe(t, p)
	r := newResumed()
	f.Park(r)
	p.Close()
	for {
		r.await(t, "close of the poller, or data")
		if n, _ := read(f); n > 0 {
			break
		}
		f.Park(r)
		write(t, w)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != os.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
}

// stressReader reads a pipe until its end, parked in between.
type stressReader struct {
	file    *File
	got     atomic.Int64
	running atomic.Int32 // goroutines that read, at most one
	t       *testing.T
	done    *sync.WaitGroup
}

func (s *stressReader) Resume() { go s.read() }

func (s *stressReader) read() {
	if s.running.Add(1) != 1 {
		s.t.Error("two goroutines read")
	}
	for {
		n, err := read(s.file)
		switch {
		case n > 0:
			s.got.Add(int64(n))
			continue
		case err == unix.EAGAIN:
			if _, expired, err := s.file.Lock(); err == nil {
				s.file.Unlock()
				if expired {
					s.file.SetDeadline(time.Time{})
				}
			}
			s.running.Add(-1)
			s.file.Park(s)
		default:
			s.done.Done()
		}
		return
	}
}

// TestStress parks and resumes files for data, deadlines, and the end, and opens and closes others
// meanwhile. No byte is lost, and each reader gets the end.
func TestStress(t *testing.T) {
	const files, writes = 30, 300
	p := open(t)
	var readers, writers sync.WaitGroup
	all := make([]*stressReader, files)
	for i := range all {
		f, w := pipe(t, p)
		s := &stressReader{file: f, t: t, done: &readers}
		all[i] = s
		readers.Add(1)
		f.Park(s)
		writers.Go(func() {
			defer w.Close()
			for range writes {
				write(t, w)
				switch rand.IntN(8) {
				case 0:
					f.SetDeadline(time.Now().Add(time.Duration(rand.IntN(300)) * time.Microsecond))
				case 1:
					time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond) // until the file is parked, sometimes
				case 2:
					runtime.Gosched()
				}
			}
		})
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			f, w := pipe(t, p)
			r := newResumed()
			f.Park(r)
			if rand.IntN(2) == 0 {
				write(t, w)
			}
			_, _ = f.Close(), w.Close()
			r.await(t, "close")
		}
	})
	writers.Wait()
	close(stop)
	others.Wait()
	readers.Wait()
	for _, s := range all {
		if n := s.got.Load(); n != writes {
			t.Errorf("%d of %d bytes", n, writes)
		}
	}
}
