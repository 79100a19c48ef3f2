//go:build linux

package main

import (
	"fmt"
	"time"
)

const (
	idleSessions    = 1000
	idlePerConn     = 10
	idleConnections = 1000
)

// settle waits until the server has been idle for some seconds, before its memory is read.
func (b *bench) settle() { time.Sleep(time.Duration(b.rounds(5, 1)) * time.Second) }

// idleMemory measures the private memory that idle sessions and idle connections add to a server,
// and its threads.
func idleMemory(b *bench) (report, error) {
	sessions := figure{
		what: fmt.Sprintf("idle session, %d of them, ten per connection", idleSessions),
		unit: "KiB", goal: atMost(14), detail: "private memory",
	}
	connections := figure{
		what: fmt.Sprintf("idle connection, %d of them", idleConnections),
		unit: "KiB", goal: atMost(24), detail: "private memory",
	}
	threads := figure{what: fmt.Sprintf("threads with %d idle sessions", idleSessions), goal: atMost(40)}
	for _, p := range b.programs {
		each, count, err := b.measureIdle(p, idleSessions, func(i *idle) error { return i.sessions(idleSessions) })
		if err != nil {
			return report{}, err
		}
		sessions.values, threads.values = append(sessions.values, each), append(threads.values, float64(count))
		each, _, err = b.measureIdle(p, idleConnections, func(i *idle) error { return i.connect(idleConnections) })
		if err != nil {
			return report{}, err
		}
		connections.values = append(connections.values, each)
	}
	return report{figures: []figure{sessions, connections, threads}}, nil
}

// measureIdle returns how much private memory a new server has more after f, divided by n, in KiB,
// and its number of threads then.
func (b *bench) measureIdle(p program, n int, f func(*idle) error) (each float64, threads int, err error) {
	i, err := b.startIdle(p)
	if err != nil {
		return 0, 0, err
	}
	defer i.undo.run(&err)
	before, err := i.memory()
	if err != nil {
		return 0, 0, err
	}
	if err := f(i); err != nil {
		return 0, 0, err
	}
	after, err := i.memory()
	if err != nil {
		return 0, 0, err
	}
	threads, err = procFields(i.server.pid, "status", "Threads")
	return float64(after-before) / float64(n), threads, err
}

// idle is a server with sessions and connections that do nothing.
type idle struct {
	b      *bench
	server *server
	ids    []string // of the sessions
	undo   cleanup
}

// startIdle starts a server without a limit on sessions and connections that would be reached.
func (b *bench) startIdle(p program) (*idle, error) {
	i := &idle{b: b}
	var err error
	i.server, err = b.startUntil(&i.undo, p, "--max-sessions=100000", "--max-connections=100000", "--max-unauthenticated=1000")
	return i, err
}

// memory returns the private memory of the server in KiB after it has been idle.
func (i *idle) memory() (int, error) {
	i.b.settle()
	return privateMemory(i.server.pid)
}

// connect adds n connections, whose pings are answered.
func (i *idle) connect(n int) error {
	for range n {
		c, err := i.server.dial(smallBuffer)
		if err != nil {
			return err
		}
		i.drain(c)
	}
	return i.b.ctx.Err()
}

// drain reads a connection until the end.
func (i *idle) drain(c *conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.drain()
	}()
	i.undo.add(func() error {
		err := c.Close()
		<-done
		return err
	})
}

// sessions adds n sessions, a multiple of idlePerConn, and idlePerConn of them on each connection.
func (i *idle) sessions(n int) error {
	for range n / idlePerConn {
		c, err := i.server.dial(smallBuffer)
		if err != nil {
			return err
		}
		for range idlePerConn {
			id, err := c.start("sleep", "100000")
			if err != nil {
				_ = c.Close()
				return err
			}
			i.ids = append(i.ids, id)
		}
		i.drain(c)
		if err := i.b.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
