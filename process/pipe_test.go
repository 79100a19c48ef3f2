//go:build linux

package process

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testPipe returns a Pipe and its write end.
func testPipe(t testing.TB) (*Pipe, *os.File) {
	t.Helper()
	r, w, err := openPipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.SetNonblock(r, true)
	p, f := newPipe(r, nil), os.NewFile(uintptr(w), "w")
	t.Cleanup(func() { _ = p.Close(); _ = f.Close() })
	return p, f
}

func neverLend() []byte { panic("a buffer is borrowed with nothing to read") }

func TestIdlePipeHoldsNoBuffer(t *testing.T) {
	p, w := testPipe(t)
	if _, err := p.TryRead(neverLend); !errors.Is(err, ErrWouldBlock) || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("TryRead of an empty pipe: %v", err)
	}
	_ = p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := readReady(p, neverLend); err != os.ErrDeadlineExceeded {
		t.Errorf("readReady at the deadline: %v", err)
	}
	_, _ = w.WriteString("late")
	if _, err := readReady(p, neverLend); err != os.ErrDeadlineExceeded {
		t.Errorf("readReady after the deadline: %v", err)
	}
	buf := make([]byte, 8)
	if n, err := p.TryRead(func() []byte { return buf }); err != nil || string(buf[:n]) != "late" {
		t.Errorf("TryRead after the deadline: %q, %v", buf[:n], err)
	}
	_ = p.SetReadDeadline(time.Time{})
	_ = w.Close()
	for range 2 {
		if n, err := p.TryRead(func() []byte { return buf }); n != 0 || err != io.EOF {
			t.Errorf("TryRead at the end: %d, %v", n, err)
		}
	}
}

func TestAtEnd(t *testing.T) {
	p, w := testPipe(t)
	buf := make([]byte, 8)
	if p.AtEnd() || p.Unread() {
		t.Error("an empty pipe is at its end, or has something to read")
	}
	_, _ = w.WriteString("x")
	if p.AtEnd() || !p.Unread() {
		t.Error("a pipe with data is at its end, or has nothing to read")
	}
	_ = w.Close()
	if p.AtEnd() || p.Unread() {
		t.Error("a pipe with data that was closed is at its end, or has a writer")
	}
	if n, err := p.ReadNow(func() []byte { return buf }); n != 1 || err != nil {
		t.Errorf("ReadNow: %d, %v", n, err)
	}
	if !p.AtEnd() {
		t.Error("a pipe that was closed and read is not at its end")
	}
	_ = p.Close()
	if p.AtEnd() || p.Unread() {
		t.Error("a pipe is at its end, or has something to read, after Close")
	}
}

func TestReadNow(t *testing.T) {
	p, w := testPipe(t)
	if _, err := p.ReadNow(neverLend); err != ErrWouldBlock {
		t.Errorf("ReadNow of an empty pipe: %v", err)
	}
	_ = p.SetReadDeadline(time.Unix(1, 0))
	_, _ = w.WriteString("x")
	if _, err := p.ReadNow(neverLend); err != os.ErrDeadlineExceeded {
		t.Errorf("ReadNow after the deadline: %v", err)
	}
	_ = p.Close()
	if _, err := p.ReadNow(neverLend); err != os.ErrClosed {
		t.Errorf("ReadNow after Close: %v", err)
	}
}

func TestParkWakes(t *testing.T) {
	p, w := testPipe(t)
	lent := make(chan bool, 1)
	got := make(chan string)
	go func() {
		buf := make([]byte, 8)
		for {
			n, err := readReady(p, func() []byte { lent <- true; return buf })
			<-lent
			if err != nil {
				close(got)
				return
			}
			got <- string(buf[:n])
		}
	}()
	for _, text := range []string{"a", "full buf", "b"} {
		_, _ = w.WriteString(text)
		if s := <-got; s != text {
			t.Errorf("got %q, want %q", s, text)
		}
	}
	if len(lent) > 0 {
		t.Error("an idle pipe has borrowed a buffer")
	}
	_ = w.Close()
	if s, open := <-got; open {
		t.Errorf("got %q at the end", s)
	}
}

func TestPipeCloseInterrupts(t *testing.T) {
	p, _ := testPipe(t)
	done := make(chan error)
	go func() { _, err := readReady(p, neverLend); done <- err }()
	_ = p.Close()
	if err := <-done; err != os.ErrClosed {
		t.Errorf("readReady after Close: %v", err)
	}
	if _, err := p.TryRead(neverLend); err != os.ErrClosed {
		t.Errorf("TryRead after Close: %v", err)
	}
}

func TestPipeGrowsForALargeRead(t *testing.T) {
	p, w := testPipe(t)
	buf := make([]byte, 64<<10)
	size := func() int {
		n, _ := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
		return n
	}
	for _, c := range []struct{ write, size int }{{largeRead - 1, 64 << 10}, {largeRead, largePipe}} {
		_, _ = w.WriteString(strings.Repeat("x", c.write))
		if n, err := readReady(p, func() []byte { return buf }); n != c.write || err != nil || size() != c.size {
			t.Errorf("read %d, %v; the size of the pipe is %d, want %d", n, err, size(), c.size)
		}
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	p, w := testPipe(t)
	buf := make([]byte, 64)
	lend := func() []byte { return buf }
	one := []byte("x")
	allocs := testing.AllocsPerRun(200, func() {
		_, _ = w.Write(one)
		if _, err := readReady(p, lend); err != nil {
			t.Fatal(err)
		}
		if _, err := p.TryRead(lend); err != ErrWouldBlock {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations per read", allocs)
	}
}
