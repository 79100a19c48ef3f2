package mcp

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// unknownSessions are the sessions of calls in progress: the host has not received their ids. At most
// MaxCalls are in it.
type unknownSessions struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (u *unknownSessions) add(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = map[string]struct{}{}
	}
	u.ids[id] = struct{}{}
}

func (u *unknownSessions) remove(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ids, id)
}

func (u *unknownSessions) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.ids))
}

// cancelUnknown cancels the sessions of calls that did not end when the host had gone, because their
// response is blocked: one with a name would continue.
func (s *Server) cancelUnknown() {
	var all sync.WaitGroup
	for _, id := range s.unknown.all() {
		all.Go(func() { s.cancel(id) })
	}
	all.Wait()
}

// cancel cancels a session and waits for its end, for at most cancelTimeout.
func (s *Server) cancel(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
	defer cancel()
	_ = s.caller.Call(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: id}, nil)
}
