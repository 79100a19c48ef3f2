package client

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestHowLongAServerMayBeSilent(t *testing.T) {
	for _, c := range []struct {
		interval    float64
		limit, ping time.Duration
	}{
		{20, time.Minute, 0},
		{60, 3 * time.Minute, 0},
		{0.1, time.Second, 0},
		{0, 3 * time.Minute, time.Minute},
		{-1, 3 * time.Minute, time.Minute},
		{61, 3 * time.Minute, time.Minute},
		{1e300, 3 * time.Minute, time.Minute},
		{math.NaN(), 3 * time.Minute, time.Minute},
	} {
		if limit, ping := silence(c.interval); limit != c.limit || ping != c.ping {
			t.Errorf("%v: %v and %v, want %v and %v", c.interval, limit, ping, c.limit, c.ping)
		}
	}
}

// pair is a socket with its limit, and the server's end.
func pair(t *testing.T, limit time.Duration) (*socket, net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	s := newSocket(ours)
	s.limit = limit
	return s, theirs
}

func TestSilenceEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := pair(t, time.Minute)
		go func() {
			for range 3 { // not a whole message: single bytes count
				time.Sleep(59 * time.Second)
				_, _ = server.Write([]byte{0})
			}
		}()
		begin := time.Now()
		n, err := io.Copy(io.Discard, s)
		var silent *SilentError
		if n != 3 || !errors.As(err, &silent) || silent.Sending || silent.For != time.Minute {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(begin); took != 3*59*time.Second+time.Minute+lastLook {
			t.Errorf("it took %v", took)
		}
	})
}

func TestNoSilenceWithoutALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := pair(t, 0)
		go func() {
			time.Sleep(24 * time.Hour)
			_, _ = server.Write([]byte{0})
		}()
		if n, err := s.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// The time between two reads is the consumer's.
func TestConsumerThatTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := pair(t, time.Minute)
		go func() { _, _ = server.Write([]byte{0, 0}) }()
		b := make([]byte, 1)
		for range 2 {
			if n, err := s.Read(b); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

// asleep is a connection that all of the process stands still with: whatever waits for it ends when it is awake.
type asleep struct {
	net.Conn
	until time.Time
}

func (a *asleep) Read(b []byte) (int, error) {
	return a.wait(func() (int, error) { return a.Conn.Read(b) })
}
func (a *asleep) Write(b []byte) (int, error) {
	return a.wait(func() (int, error) { return a.Conn.Write(b) })
}

func (a *asleep) wait(then func() (int, error)) (int, error) {
	if time.Now().Before(a.until) {
		time.Sleep(time.Until(a.until))
		return 0, os.ErrDeadlineExceeded
	}
	return then()
}

func TestSuspensionIsNoSilence(t *testing.T) {
	t.Run("reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, server := pair(t, time.Minute)
			s.Conn = &asleep{s.Conn, time.Now().Add(time.Hour)}
			go func() {
				time.Sleep(time.Hour + 59*time.Second) // another look would be too many
				_, _ = server.Write([]byte{0})
			}()
			if n, err := s.Read(make([]byte, 9)); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
	t.Run("writing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, server := pair(t, time.Minute)
			s.Conn = &asleep{s.Conn, time.Now().Add(time.Hour)}
			go func() {
				time.Sleep(time.Hour + writeTimeout - time.Second)
				_, _ = server.Read(make([]byte, 9))
			}()
			if n, err := s.Write(make([]byte, 9)); n != 9 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
}

func TestWriteEndsWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := pair(t, time.Minute)
		begin := time.Now()
		go func() {
			for range 3 { // slow, and steady
				time.Sleep(writeTimeout - time.Second)
				_, _ = server.Read(make([]byte, 1))
			}
		}()
		n, err := s.Write(make([]byte, 9))
		var silent *SilentError
		if n != 3 || !errors.As(err, &silent) || !silent.Sending {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(begin); took < 4*writeTimeout-3*time.Second || took > 5*writeTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

// TestWhatThePeerTakesIsProgress: the kernel says a write may go on only when much of its buffer is free.
func TestWhatThePeerTakesIsProgress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s := newSocket(c)
	_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err == nil { // until the kernel takes no more
		_, err = c.Write(make([]byte, 1<<20))
	}
	full := s.queued()
	if full == 0 {
		t.Fatal("nothing is queued")
	}
	buf := make([]byte, 64<<10)
	for s.queued() == full {
		if _, err := server.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
}
