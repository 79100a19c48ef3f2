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

// room is a budget with as much room as its capacity.
type room chan struct{}

func (r room) TryTake() bool {
	select {
	case r <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r room) Take(ctx context.Context) bool {
	select {
	case r <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r room) Release() { <-r }

// TestBudget: the connections of two proxies together are bounded. A further one waits, is refused, and
// further ones are refused at once until there is room.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := make(room, 2)
		l, other := newPipes(), newPipes()
		p, q := Start(l, Options{Budget: budget}), Start(other, Options{Budget: budget})
		defer p.Close()
		defer q.Close()
		conns := []net.Conn{l.dial(), l.dial()}
		synctest.Wait() // they have taken the room
		begin := time.Now()
		expect := func(request, want string, after time.Duration) {
			t.Helper()
			conn := other.dial()
			defer conn.Close()
			go io.WriteString(conn, request)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); string(got) != want || time.Since(begin) != after {
				t.Errorf("%q, %v after %v", got, err, time.Since(begin))
			}
		}
		expect("G", "HTTP/1.1 503 "+excessOfServer, connectionWait)
		expect("\x05", "\x05\xff", connectionWait)
		conns[0].Close()
		synctest.Wait()
		expect("\x05\x01\x00", "\x05\x00", connectionWait)
		if r := q.Report(); r.Excess != 2 || p.Report().Excess != 0 {
			t.Errorf("%d connections were refused", r.Excess)
		}
		synctest.Wait()
		waiting := []net.Conn{other.dial(), other.dial()}
		time.Sleep(connectionWait - time.Second)
		conns[1].Close()
		converse(t, waiting[1], ">\x05\x01\x00", "<\x05\x00")
		for _, conn := range waiting {
			conn.Close()
		}
		synctest.Wait()
		if len(budget) != 0 {
			t.Errorf("%d were not given back", len(budget))
		}
	})
}

// TestBudgetOfAttempts: without room there is one attempt to connect at a time.
func TestBudgetOfAttempts(t *testing.T) {
	for most, want := range []string{
		"1.0.0.1 0s, 1.0.0.2 1s, 1.0.0.3 2s",
		"1.0.0.1 0s, 1.0.0.2 250ms, 1.0.0.3 1s",
		"1.0.0.1 0s, 1.0.0.2 250ms, 1.0.0.3 500ms",
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var mu sync.Mutex
			var tried []string
			budget := make(room, most)
			p := &outbound{budget: budget, dialAddr: func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
				mu.Lock()
				tried = append(tried, fmt.Sprint(a.Addr(), " ", time.Since(begin)))
				mu.Unlock()
				time.Sleep(time.Second)
				return nil, io.ErrUnexpectedEOF
			}}
			var addrs []netip.Addr
			for _, text := range []string{"1.0.0.1", "1.0.0.2", "1.0.0.3"} {
				addrs = append(addrs, netip.MustParseAddr(text))
			}
			_, _, err := p.dial(t.Context(), addrs, 1)
			if got := strings.Join(tried, ", "); err == nil || got != want {
				t.Error(got, err)
			}
			if len(budget) != 0 {
				t.Errorf("%d were not given back", len(budget))
			}
		})
	}
}
