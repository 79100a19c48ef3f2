package egress

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pairs of pipes, for fake time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.done); return nil }
func (l *pipes) Addr() net.Addr { return nil }

func (l *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

// stuck is a resolver and a dialer that never answer.
type stuck struct{}

func (stuck) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuck) dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// drip sends one byte each second.
func drip(conn net.Conn, text string) {
	for _, b := range []byte(text) {
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// TestTimes measures, in fake time, when a connection ends that does not go on.
func TestTimes(t *testing.T) {
	connect := "CONNECT a.example:1 HTTP/1.1\r\n\r\n"
	many := strings.Repeat("1.1.1.1 ", 3)
	for _, test := range []struct {
		name, text string // the text is sent one byte each second, unless it is a CONNECT
		addrs      string
		want       string
		after      time.Duration
	}{
		{"silent", "", "", "", headTime},
		{"slow head", strings.Repeat("G", 100), "", "HTTP/1.1 408 ", headTime},
		{"slow SOCKS", "\x05\xff" + strings.Repeat("\x01", 100), "", "", headTime},
		{"resolver", connect, "", "HTTP/1.1 504 ", resolveTime},
		{"server", connect, many, "HTTP/1.1 504 ", dialTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				o := Options{Allow: parseList(t, "a.example:1"), Resolver: stuck{}, dial: stuck{}.dial}
				if test.addrs != "" {
					o.Resolver = &resolver{hosts: map[string][]string{"a.example": strings.Fields(test.addrs)}}
				}
				p := Start(l, o)
				defer p.Close()
				conn := l.dial()
				defer conn.Close()
				begin := time.Now()
				var wg sync.WaitGroup
				defer wg.Wait()
				if test.text == connect {
					io.WriteString(conn, connect)
				} else {
					wg.Go(func() { drip(conn, test.text) })
				}
				first := make([]byte, len(test.want))
				n, err := io.ReadFull(conn, first)
				if test.want == "" {
					_, err = conn.Read(make([]byte, 1))
				}
				if took := time.Since(begin); took != test.after || string(first) != test.want {
					t.Errorf("%q, %v after %v", first[:n], err, took)
				}
				conn.Close()
			})
		})
	}
}

// dialAll makes as many connections as are permitted.
func (l *pipes) dialAll() (conns []net.Conn) {
	for range maxConnections {
		conns = append(conns, l.dial())
	}
	return conns
}

// TestMaxConnections has as many connections as are permitted: a further one waits, then it is
// refused, and further ones are refused at once.
func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		p := Start(l, Options{})
		defer p.Close()
		conns := l.dialAll()
		begin := time.Now()
		expect := func(request, want string, after time.Duration) {
			t.Helper()
			conn := l.dial()
			defer conn.Close()
			go io.WriteString(conn, request)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); string(got) != want {
				t.Errorf("%q, %v, not %q", got, err, want)
			}
			if took := time.Since(begin); took != after {
				t.Errorf("%q after %v, not %v", want, took, after)
			}
		}
		expect("G", "HTTP/1.1 503 ", connectionWait)
		expect("\x05", "\x05\xff", connectionWait)
		conns[0].Close()
		synctest.Wait()
		expect("\x05\x01\x00", "\x05\x00", connectionWait)
		if r := p.Report(); r.Excess != 2 {
			t.Errorf("%d connections were refused", r.Excess)
		}
		for _, conn := range conns {
			conn.Close()
		}
	})
}

// TestConnectionWaits lets a connection wait for the end of another one.
func TestConnectionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		p := Start(l, Options{})
		defer p.Close()
		conns := l.dialAll()
		last := l.dial()
		time.Sleep(connectionWait - time.Second)
		conns[0].Close()
		converse(t, last, ">\x05\x01\x00", "<\x05\x00")
		last.Close()
		for _, conn := range conns {
			conn.Close()
		}
	})
}

// TestDialsInTurn tries the next address when the one before is not decided, and ends the others.
func TestDialsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		var tried []string
		ended := 0
		p := &outbound{budget: unbounded{}, dialAddr: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			tried = append(tried, fmt.Sprint(a.Addr(), " ", time.Since(begin)))
			switch len(tried) {
			case 1:
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				ended++
				return nil, ctx.Err()
			case 2:
				return nil, io.ErrUnexpectedEOF
			}
			conn, _ := net.Pipe()
			return conn, nil
		}}
		addrs := []netip.Addr{}
		for _, text := range []string{"1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4"} {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		conn, addr, err := p.dial(t.Context(), addrs, 1)
		if conn == nil || addr != addrs[2] || err != nil || ended != 1 {
			t.Error(addr, err, ended)
		}
		if got := strings.Join(tried, ", "); got != "1.0.0.1 0s, 1.0.0.2 250ms, 1.0.0.3 250ms" {
			t.Error(got)
		}
		if took := time.Since(begin); took != dialDelay {
			t.Errorf("after %v", took)
		}
	})
}

// TestDialsTogether closes the second of two connections.
func TestDialsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var theirs []net.Conn
		var mu sync.Mutex
		p := &outbound{budget: unbounded{}, dialAddr: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			conn, other := net.Pipe()
			mu.Lock()
			theirs = append(theirs, other)
			mu.Unlock()
			time.Sleep(time.Second) // both are on their way
			return conn, nil
		}}
		conn, _, err := p.dial(t.Context(), []netip.Addr{netip.MustParseAddr("1.0.0.1"), netip.MustParseAddr("1.0.0.2")}, 1)
		if err != nil || len(theirs) != 2 {
			t.Fatal(err, len(theirs))
		}
		expectEnd(t, theirs[1])
		conn.Close()
	})
}

// TestMaxAddresses tries no more addresses of a name than permitted.
func TestMaxAddresses(t *testing.T) {
	var list []string
	for i := range 2 * maxAddresses {
		list = append(list, fmt.Sprint("1.0.0.", i))
	}
	p := &outbound{
		allow:    parseList(t, "a.example:1"),
		resolver: &resolver{hosts: map[string][]string{"a.example": list}},
	}
	got, err := p.addresses(t.Context(), target{host: "a.example", port: 1})
	if err != nil || len(got) != maxAddresses {
		t.Error(got, err)
	}
}

// TestRecordBounds uses more destinations than are told apart.
func TestRecordBounds(t *testing.T) {
	events := 0
	r := newRecord(func(Event) { events++ })
	const more = 5
	for i := range maxRefused + more {
		r.refused(&refusal{target: target{host: fmt.Sprint(i), port: 1}, reason: NotListed})
		r.refused(&refusal{target: target{host: fmt.Sprint(i), port: 1}, reason: NotListed})
	}
	addr := netip.MustParseAddr(site)
	for i := range maxAllowed + more {
		at := target{host: fmt.Sprint(i), port: 1}
		r.connected(at, addr)
		r.disconnected(at, addr, 1, 2)
	}
	r.finish()
	got := r.snapshot()
	if len(got.Refused) != maxRefused || len(got.Allowed) != maxAllowed || got.MoreRefused != 2*more || got.MoreAllowed != more {
		t.Errorf("%d %d %d %d", len(got.Refused), len(got.Allowed), got.MoreRefused, got.MoreAllowed)
	}
	if got.Up != maxAllowed+more || got.Down != 2*got.Up || got.Refused[0].Count != 2 || !got.Allowed[0].Final {
		t.Errorf("%d %d %+v", got.Up, got.Down, got.Refused[0])
	}
	if events != 2*(maxRefused+maxAllowed) {
		t.Errorf("%d events", events)
	}
}

// TestSlowEvents delivers events while the function for them takes its time.
func TestSlowEvents(t *testing.T) {
	release := make(chan struct{})
	var got []Event
	r := newRecord(func(e Event) {
		<-release
		got = append(got, e)
	})
	for i := range 10 {
		r.refused(&refusal{target: target{host: fmt.Sprint(i), port: 1}, reason: NotListed}) // does not wait
	}
	close(release)
	r.finish()
	if len(got) != 20 || got[0].Final || !got[19].Final {
		t.Errorf("%+v", got)
	}
}
