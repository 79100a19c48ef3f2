package egress

import (
	"context"
	"io"
	"net"
	"time"
)

// Budget bounds the connections of several proxies together. Its methods may be called concurrently.
type Budget interface {
	// TryTake takes room for a connection, and reports whether there was some.
	TryTake() bool
	// Take is like TryTake, but waits for room until the context ends.
	Take(ctx context.Context) bool
	// Release gives back what one call has taken.
	Release()
}

// unbounded is the budget of a proxy that has none.
type unbounded struct{}

func (unbounded) TryTake() bool             { return true }
func (unbounded) Take(context.Context) bool { return true }
func (unbounded) Release()                  {}

// The bounds that a connection may exceed, as the command is told.
const (
	excessOfCommand = "the command has 64 connections to its proxy already"
	excessOfServer  = "the commands of the server have too many connections to their proxies"
)

// admit serves a connection if there is room for it, and otherwise refuses it: at once if the last
// one was refused, too.
func (p *Proxy) admit(conn net.Conn, full bool) bool {
	if !p.track(conn) {
		return false
	}
	if excess := p.takeRoom(full); excess != "" {
		if p.ctx.Err() == nil {
			p.record.refuseExcess()
		}
		refuseExcess(conn, excess)
		p.drop(conn)
		return false
	}
	p.wg.Go(func() {
		defer p.releaseRoom()
		defer p.drop(conn)
		p.serve(conn)
	})
	return true
}

// takeRoom takes room for a connection, for which it waits unless full is set. If there is none, it
// returns the bound that the connection exceeds.
func (p *Proxy) takeRoom(full bool) (excess string) {
	select {
	case p.slots <- struct{}{}:
		if p.budget.TryTake() {
			return ""
		}
		<-p.slots
		excess = excessOfServer
	default:
		excess = excessOfCommand
	}
	if full {
		return excess
	}
	ctx, cancel := context.WithTimeout(p.ctx, connectionWait)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return excessOfCommand
	}
	if !p.budget.Take(ctx) {
		<-p.slots
		return excessOfServer
	}
	return ""
}

func (p *Proxy) releaseRoom() {
	p.budget.Release()
	<-p.slots
}

// refuseExcess answers a connection that is not served. Its first bytes have mostly arrived by now;
// what has not is not waited for.
func refuseExcess(conn net.Conn, excess string) {
	conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
	first := make([]byte, 1)
	if n, _ := conn.Read(first); n == 1 && first[0] == socksVersion {
		conn.Write([]byte{socksVersion, socksNoMethod})
		return
	}
	io.WriteString(conn, errorResponse(503, excess, ""))
}
