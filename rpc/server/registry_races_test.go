//go:build linux

package server_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// TestConcurrentRequestsOnOneRegistry guards against races in the registry: 500 goroutines execute,
// control, cancel and disconnect. Each reply is one of the protocol, and in the end no session
// runs.
func TestConcurrentRequestsOnOneRegistry(t *testing.T) {
	const connections, each, rounds = 50, 10, 2
	s := serve(t, func(set *settings) { set.Session.MaxRetained = 50 }) // or the results of list are large
	ctx, cancel := context.WithTimeout(context.Background(), 2*testTimeout)
	defer cancel()
	ids := &shared{}
	var all sync.WaitGroup
	for range connections {
		c, err := client.Dial(ctx, s.url(), client.Options{TLS: s.secure})
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		for range each {
			users.Go(func() {
				for range rounds {
					hammer(ctx, t, c, ids)
				}
			})
		}
		all.Go(func() {
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
			if rand.IntN(2) == 0 { // some connections end during the requests, some after them
				users.Wait()
			}
			c.Abort()
			users.Wait()
		})
	}
	all.Wait()
	s.idle()
}

// hammer sends one request about a session that any goroutine has started, and that may be
// removed.
func hammer(ctx context.Context, t *testing.T, c *client.Client, ids *shared) {
	id := ids.any()
	var err error
	switch rand.IntN(6) {
	case 0, 1:
		id = uuid.NewString()
		ids.add(id)
		_, err = c.Execute(ctx, rpc.ExecuteParams{SessionID: id, Command: rpc.Command{Argv: []string{"sleep", "0.2"}}}, client.Events{})
	case 2:
		err = c.Call(ctx, rpc.MethodControl, rpc.ControlParams{SessionID: id, Type: rpc.ControlTypes[rand.IntN(3)]}, nil)
	case 3:
		err = c.Call(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: id}, nil)
	case 4:
		err = c.Call(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: id}, nil)
	case 5:
		err = c.Call(ctx, rpc.MethodList, rpc.ListParams{}, nil)
	}
	var e *rpc.Error
	switch {
	case err == nil, errors.Is(err, client.ErrClosed):
	case errors.As(err, &e) && (e.Code == rpc.CodeSessionNotFound || e.Code == rpc.CodeNotRunning || e.Code == rpc.CodeSessionLimit ||
		e.Code == rpc.CodeRequestCanceled): // the session was canceled while it was starting:
	default:
		t.Errorf("%v", err)
	}
}

// shared are the session ids that all goroutines use.
type shared struct {
	mu  sync.Mutex
	ids []string
}

func (s *shared) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, id)
}

func (s *shared) any() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ids) == 0 {
		return uuid.NewString()
	}
	return s.ids[rand.IntN(len(s.ids))]
}
