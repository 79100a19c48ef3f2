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

func TestReceiveTimeoutOfAPingInterval(t *testing.T) {
	for _, c := range []struct {
		interval      float64
		timeout, ping time.Duration
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
		if timeout, ping := receiveTimeout(c.interval); timeout != c.timeout || ping != c.ping {
			t.Errorf("ping interval %v: got %v and %v, want %v and %v", c.interval, timeout, ping, c.timeout, c.ping)
		}
	}
}

// socketPair returns a socket with a receive timeout, and the server's end of it.
func socketPair(t *testing.T, timeout time.Duration) (*socket, net.Conn) {
	client, server := net.Pipe()
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	s := newSocket(client)
	s.timeout = timeout
	return s, server
}

func TestReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := socketPair(t, time.Minute)
		go func() {
			for range 3 { // single bytes count, not only messages
				time.Sleep(59 * time.Second)
				_, _ = server.Write([]byte{0})
			}
		}()
		begin := time.Now()
		n, err := io.Copy(io.Discard, s)
		var timeout *TimeoutError
		if n != 3 || !errors.As(err, &timeout) || timeout.Sending || timeout.After != time.Minute {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(begin); took != 3*59*time.Second+time.Minute+finalWait {
			t.Errorf("it took %v", took)
		}
	})
}

func TestReadWithoutATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := socketPair(t, 0)
		go func() {
			time.Sleep(24 * time.Hour)
			_, _ = server.Write([]byte{0})
		}()
		if n, err := s.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestTimeBetweenReadsDoesNotCount: a consumer may take longer than the timeout between two reads.
func TestTimeBetweenReadsDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := socketPair(t, time.Minute)
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

// suspendedConn simulates a suspended process: until the given time, a wait for the connection ends
// late, at that time, with an expired deadline.
type suspendedConn struct {
	net.Conn
	until time.Time
}

func (c *suspendedConn) Read(b []byte) (int, error) {
	return c.wait(func() (int, error) { return c.Conn.Read(b) })
}
func (c *suspendedConn) Write(b []byte) (int, error) {
	return c.wait(func() (int, error) { return c.Conn.Write(b) })
}

func (c *suspendedConn) wait(then func() (int, error)) (int, error) {
	if time.Now().Before(c.until) {
		time.Sleep(time.Until(c.until))
		return 0, os.ErrDeadlineExceeded
	}
	return then()
}

func TestTimeOfASuspensionDoesNotCount(t *testing.T) {
	t.Run("reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, server := socketPair(t, time.Minute)
			s.Conn = &suspendedConn{s.Conn, time.Now().Add(time.Hour)}
			go func() {
				time.Sleep(time.Hour + 59*time.Second) // just before the timeout
				_, _ = server.Write([]byte{0})
			}()
			if n, err := s.Read(make([]byte, 9)); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
	t.Run("writing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, server := socketPair(t, time.Minute)
			s.Conn = &suspendedConn{s.Conn, time.Now().Add(time.Hour)}
			go func() {
				time.Sleep(time.Hour + sendTimeout - time.Second)
				_, _ = server.Read(make([]byte, 9))
			}()
			if n, err := s.Write(make([]byte, 9)); n != 9 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := socketPair(t, time.Minute)
		begin := time.Now()
		go func() {
			for range 3 { // slow progress
				time.Sleep(sendTimeout - time.Second)
				_, _ = server.Read(make([]byte, 1))
			}
		}()
		n, err := s.Write(make([]byte, 9))
		var timeout *TimeoutError
		if n != 3 || !errors.As(err, &timeout) || !timeout.Sending {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(begin); took < 4*sendTimeout-3*time.Second || took > 5*sendTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

// TestQueuedDecreasesWhenThePeerReads: queued shows progress before the kernel reports the socket
// as writable.
func TestQueuedDecreasesWhenThePeerReads(t *testing.T) {
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
	for err == nil { // until the kernel accepts no more
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
