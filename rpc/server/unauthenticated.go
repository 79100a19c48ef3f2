package server

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// unauthenticated contains the connections that are not WebSockets, or not yet. Their number is
// bounded, because each has a descriptor and memory. One too many closes one that is refused already
// or whose handshake is delayed, and otherwise the oldest one of the peer that has most, so a peer
// that opens connections fast closes its own. Connections of processes of the server's user are not
// counted. The methods may be called concurrently.
type unauthenticated struct {
	most     int
	refusals *refusals

	mu     sync.Mutex
	conns  []*unauthenticatedConn // oldest first
	counts map[refusedPeer]int    // of conns, by key
}

func newUnauthenticated(most int, r *refusals) *unauthenticated {
	return &unauthenticated{most: most, refusals: r, counts: make(map[refusedPeer]int)}
}

// stateChanged is the ConnState hook of the http.Server.
func (u *unauthenticated) stateChanged(conn net.Conn, s http.ConnState) {
	c := conn.(interface{ base() *unauthenticatedConn }).base()
	switch s {
	case http.StateNew:
		u.add(c)
	case http.StateIdle: // in the goroutine of the connection
		c.judged = false
		c.endAnswer()
	case http.StateHijacked:
		c.hijacked.Store(true)
		u.remove(c)
	case http.StateClosed:
		u.remove(c)
		c.endAnswer()
	}
}

// add counts a connection, and closes another one if it is one too many.
func (u *unauthenticated) add(c *unauthenticatedConn) {
	if c.own {
		return
	}
	u.mu.Lock()
	u.conns = append(u.conns, c)
	u.counts[c.key]++
	full := len(u.conns) > u.most
	u.mu.Unlock()
	if full {
		u.closeOne("too many unauthenticated connections")
	}
}

func (u *unauthenticated) remove(c *unauthenticatedConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.Index(u.conns, c); i >= 0 {
		u.removeAt(i)
	}
}

// removeAt removes u.conns[i]. u.mu is held.
func (u *unauthenticated) removeAt(i int) {
	key := u.conns[i].key
	u.conns = slices.Delete(u.conns, i, i+1)
	if u.counts[key]--; u.counts[key] == 0 {
		delete(u.counts, key)
	}
}

// closeOne closes a connection that is to be closed first, or the oldest one of the peer that has most,
// if there is one.
func (u *unauthenticated) closeOne(why string) {
	u.mu.Lock()
	i := u.next()
	if i < 0 {
		u.mu.Unlock()
		return
	}
	c := u.conns[i]
	u.removeAt(i)
	u.mu.Unlock()
	c.abort()
	c.refuse(why, "")
}

// next returns the index of the connection that is closed next, or -1. u.mu is held.
func (u *unauthenticated) next() int {
	if i := slices.IndexFunc(u.conns, func(c *unauthenticatedConn) bool { return c.closeFirst.Load() }); i >= 0 {
		return i
	}
	most := 0
	for _, n := range u.counts {
		most = max(most, n)
	}
	return slices.IndexFunc(u.conns, func(c *unauthenticatedConn) bool { return u.counts[c.key] == most })
}
