package server

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// lockedText is a log that is also written by timers.
type lockedText struct {
	mu   sync.Mutex
	text []byte
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

// take returns what was written since the last take.
func (l *lockedText) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := string(l.text)
	l.text = nil
	return text
}

// TestRefusalsAreLoggedOncePerSecondAndReason: the first refusal for a reason is logged at once,
// further ones once per second with their number, and the rest at the end.
func TestRefusalsAreLoggedOncePerSecondAndReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedText
		r := newRefusals(zerolog.New(&log), nil)
		add := func(why, remote string, status int) {
			r.refuse(refusedPeer{}, remote, &access.Refusal{Reason: why, Status: status})
		}
		wantLogged := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := log.take(); got != strings.Join(want, "") {
				t.Errorf("logged:\n%swant:\n%s", got, strings.Join(want, ""))
			}
		}
		const (
			token = `{"level":"info","remote":"a","why":"no token","status":401,"message":"refused"}` + "\n"
			host  = `{"level":"info","remote":"b","why":"Host","status":403,"message":"refused"}` + "\n"
			more  = `{"level":"info","remote":"c","why":"no token","status":401,"count":1000,"message":"refused"}` + "\n"
		)
		add("no token", "a", 401)
		wantLogged(token)
		for range 1000 {
			add("no token", "c", 401)
		}
		add("Host", "b", 403)
		wantLogged(host)
		time.Sleep(refusalPause)
		wantLogged(more)
		time.Sleep(2 * refusalPause)
		wantLogged()
		add("no token", "a", 401)
		wantLogged(token)
		for range 1000 {
			add("no token", "c", 401)
		}
		r.close()
		wantLogged(more)
	})
}
