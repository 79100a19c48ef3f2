//go:build linux

package server_test

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/server"
)

// notRead are requests of which the server does not read everything, and the statuses of the answers.
var notRead = map[string]struct {
	text   string
	status int
}{
	"no HTTP":          {"\x00", http.StatusRequestHeaderFieldsTooLarge},
	"an endless word":  {"A", http.StatusRequestHeaderFieldsTooLarge},
	"an endless field": {"GET /ws HTTP/1.1\r\nHost: localhost\r\nX: ", http.StatusRequestHeaderFieldsTooLarge},
	"a body":           {"POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", http.StatusMethodNotAllowed},
}

// more is sent after the text.
var more = strings.Repeat("x", 64<<10) + "\r\n\r\n"

// TestRequestsThatAreNotReadAreAnswered: the answer arrives although the rest of the request is not
// read.
func TestRequestsThatAreNotReadAreAnswered(t *testing.T) {
	s := serve(t)
	for name, x := range notRead {
		t.Run(name, func(t *testing.T) {
			c := s.raw(t, x.text)
			_, _ = io.WriteString(c, more)
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r.Body); err != nil || r.StatusCode != x.status || len(body) == 0 {
				t.Errorf("%s, %q, %v; want %d", r.Status, body, err, x.status)
			}
			closedByServer(t, c)
		})
	}
}

// TestRefusedConnectionsHaveFewGoroutines: many connections after each other, of which each is refused,
// leave no more goroutines than there may be unauthenticated connections. They do not close the
// connection of a client that is about to send a request from the same address.
func TestRefusedConnectionsHaveFewGoroutines(t *testing.T) {
	const most, many = 8, 400
	s := serve(t, func(set *settings) { set.Server.MaxUnauthenticated = most })
	for name, x := range notRead {
		t.Run(name, func(t *testing.T) {
			idle := s.raw(t, "")
			for i := range many {
				c, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_, _ = io.WriteString(c, x.text)
				_, _ = io.WriteString(c, more)
				if i%(most/2) == 0 { // with idle and the one below there are never most that are not refused
					s.awaitRefusals(t)
				}
			}
			if n := serving(); n > 3*most {
				t.Errorf("%d goroutines serve HTTP connections", n)
			}
			_, _ = io.WriteString(idle, healthRequest)
			answered(t, bufio.NewReader(idle))
		})
	}
}

// awaitRefusal waits for an answer, or the end of the connection, or until the server holds it.
func awaitRefusal(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, _ = c.Read(make([]byte, 1))
}

// awaitRefusals waits until all connections but one are refused, and only kept open. An answer on a
// connection of its own shows that those before it were accepted.
func (s *service) awaitRefusals(t *testing.T) {
	t.Helper()
	c := s.raw(t, healthRequest)
	answered(t, bufio.NewReader(c))
	_ = c.Close()
	eventually(t, "all connections but one are refused", func() bool {
		all := stacks()
		return strings.Count(all, createdToServe)-strings.Count(all, "(*unauthenticatedConn).hold(") <= 1
	})
}

// createdToServe is in the stack of each goroutine in which net/http serves a connection, or will.
const createdToServe = "created by net/http.(*Server).Serve in"

// serving returns the number of goroutines in which net/http serves a connection of a server.
func serving() int { return strings.Count(stacks(), createdToServe) }

// stacks returns those of all goroutines.
func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// TestSecondRequestIsNotRead: a connection on which a request was answered may not send garbage either.
func TestSecondRequestIsNotRead(t *testing.T) {
	const most, many = 8, 200
	s := serve(t, func(set *settings) { set.Server.MaxUnauthenticated = most })
	for range many {
		c := s.raw(t, healthRequest)
		answered(t, bufio.NewReader(c))
		_, _ = io.WriteString(c, notRead["an endless field"].text+more)
		awaitRefusal(c)
	}
	if n := serving(); n > 3*most {
		t.Errorf("%d goroutines serve HTTP connections", n)
	}
}

// TestRefusedConnectionsAreCountedOnce: a connection that is refused, and then closed because another
// one needs its place, is one refusal.
func TestRefusedConnectionsAreCountedOnce(t *testing.T) {
	const most, many = 4, 40 // fewer than are refused without an answer
	for name, x := range notRead {
		t.Run(name, func(t *testing.T) {
			reasons := map[string]int{}
			s := serve(t, func(set *settings) {
				set.Server.MaxUnauthenticated = most
				set.Server.Refused = func(r server.Refused) { // not concurrently
					for why, n := range r.Reasons {
						reasons[why] += n
					}
				}
			})
			for range many {
				c := s.raw(t, x.text)
				_, _ = io.WriteString(c, more)
				if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
					t.Fatal(err)
				}
			}
			s.shutdown(0) // reports the rest
			if len(reasons) != 1 || slices.Max(slices.Collect(maps.Values(reasons))) != many {
				t.Errorf("refusals %v, want %d for one reason", reasons, many)
			}
		})
	}
}

// TestRequestsThatAreNotReadOverTLS: the answer and the end of the connection arrive over TLS, too, and
// no goroutine is left.
func TestRequestsThatAreNotReadOverTLS(t *testing.T) {
	const most, many = 4, 20 // many are fewer than those that are answered at once
	s := serve(t, func(set *settings) { set.TLS, set.Server.MaxUnauthenticated = true, most })
	for i := range many {
		c := s.raw(t, notRead["a body"].text)
		_, _ = io.WriteString(c, more)
		in := bufio.NewReader(c)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != notRead["a body"].status {
			t.Errorf("connection %d: %s, %v", i, r.Status, err)
		}
		if _, err := in.ReadByte(); err != io.EOF { // and not a reset
			t.Errorf("connection %d ends with %v", i, err)
		}
	}
	if n := serving(); n > 3*most {
		t.Errorf("%d goroutines serve HTTP connections", n)
	}
}

// TestCloseWriteAfterHijack: a handler that has taken the connection may shut down its writing side.
// The handler continues, and the other side stays open.
func TestCloseWriteAfterHijack(t *testing.T) {
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			received := make(chan string, 1)
			s := serve(t, func(set *settings) {
				set.TLS = secure
				set.Server.Routes = map[string]http.Handler{"GET /own": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					defer close(received)
					c, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
						t.Error(err)
					}
					b := make([]byte, 4)
					_, _ = io.ReadFull(c, b)
					received <- string(b)
				})}
			})
			c := s.raw(t, "GET /own HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if n, err := io.Copy(io.Discard, c); n != 0 || err != nil {
				t.Errorf("%d bytes, then %v", n, err)
			}
			_, _ = io.WriteString(c, "more")
			if got := <-received; got != "more" {
				t.Errorf("the handler received %q", got)
			}
		})
	}
}

// TestEachRequestOfAConnectionIsCounted: a request that is not read is a refusal, although the one
// before on the same connection was refused, and answered.
func TestEachRequestOfAConnectionIsCounted(t *testing.T) {
	counts := make(map[string]int) // written by one goroutine at a time, read after the shutdown
	s := serve(t, func(set *settings) {
		set.Server.Auth = byHeader{}
		set.Server.Refused = func(r server.Refused) {
			for reason, n := range r.Reasons {
				counts[reason] += n
			}
		}
	})
	c := s.raw(t, "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != http.StatusTeapot {
		t.Fatal(r, err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(c, notRead["an endless field"].text+more)
	if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != notRead["an endless field"].status {
		t.Error(r, err)
	}
	s.shutdown(0)
	if len(counts) != 2 || counts["more data than is read"] != 1 {
		t.Errorf("refusals: %v", counts)
	}
}
