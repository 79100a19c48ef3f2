package server

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// loopback returns a TCP connection with large kernel buffers on the writing side and small ones
// on the reading side.
func loopback(t *testing.T) (writes, reads *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	writes, reads = c.(*net.TCPConn), accepted.(*net.TCPConn)
	_ = writes.SetWriteBuffer(2 << 20)
	_ = reads.SetReadBuffer(64 << 10)
	return writes, reads
}

// TestSlowSteadyPeerDoesNotTimeOut: a peer that takes bytes steadily, but within the timeout fewer
// than make the kernel report the socket as writable.
func TestSlowSteadyPeerDoesNotTimeOut(t *testing.T) {
	t.Parallel()
	writes, reads := loopback(t)
	const timeout, sip, total = 500 * time.Millisecond, 32 << 10, 5 << 20
	taken := make(chan int)
	go func() {
		n, rest := 0, make([]byte, sip)
		for end := time.Now().Add(6 * timeout); time.Now().Before(end); time.Sleep(timeout / 10) {
			k, _ := io.ReadFull(reads, rest)
			n += k
		}
		more, _ := io.Copy(io.Discard, reads)
		taken <- n + int(more)
	}()
	s := newSocket(writes, timeout)
	if err := s.write(make([]byte, total)); err != nil {
		t.Error(err)
	}
	_ = writes.Close()
	if n := <-taken; n != total {
		t.Errorf("received %d bytes of %d", n, total)
	}
}

// TestPeerThatReadsNothingTimesOut: not before the timeout, whatever it has read before. A machine
// under load seems suspended meanwhile, and so it may be any later; TestSuspensionDoesNotCount checks
// when it is.
func TestPeerThatReadsNothingTimesOut(t *testing.T) {
	t.Parallel()
	writes, _ := loopback(t)
	const timeout = 300 * time.Millisecond
	s := newSocket(writes, timeout)
	begin := time.Now()
	err := s.write(make([]byte, 32<<20))
	if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took < timeout {
		t.Errorf("%v after %v", err, took)
	}
}

// TestSuspensionDoesNotCount: time in which this process was suspended does not count for a peer
// that was blocked before it; later time does.
func TestSuspensionDoesNotCount(t *testing.T) {
	t.Parallel()
	writes, _ := loopback(t)
	s := newSocket(writes, 4*time.Second)
	const fd = -1 // nothing is queued
	if s.timedOut(fd, true) || s.timedOut(fd, false) {
		t.Fatal("stuck at once")
	}
	pass := func(d time.Duration) { s.progress, s.check = s.progress.Add(-d), s.check.Add(-d) }
	pass(time.Hour)
	if s.timedOut(fd, false) || s.err != nil {
		t.Fatal("timed out because of the suspension")
	}
	for range checksPerTimeout - 1 {
		if pass(time.Second); s.timedOut(fd, false) {
			t.Fatal("timed out too early")
		}
	}
	if pass(time.Second); !s.timedOut(fd, false) || !errors.Is(s.err, os.ErrDeadlineExceeded) {
		t.Error("the peer is still connected")
	}
}
