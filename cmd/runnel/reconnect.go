package main

import (
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// window is how much output of a command may wait for a stdout that blocks.
	window = 256 << 10
	// localLinger is how long one on the user's own server waits for a `run` that was stopped, by Ctrl-Z say.
	localLinger = 24 * time.Hour
	// localReconnect is how long a `run` that was stopped tries to come back: that server answers at once, or
	// is gone.
	localReconnect = 2 * time.Second
	// abandonTime bounds the farewell to a command that is given up.
	abandonTime = time.Second
)

// remoteLinger is how long a command on a server at a URL outlives its connection to `run`, and how long that
// tries to come back. Tests have less patience.
var remoteLinger = 2 * time.Minute

// reconnect is how client verbs that follow a session come back to it, saying so on stderr. The user's own server
// is back at once or not at all, so nothing is said before it is.
func (t *target) reconnect(w *world) *client.Reconnect {
	if t.URL == "" {
		var dropped error
		return &client.Reconnect{
			Timeout:  localReconnect,
			Dropped:  func(err error) { dropped = err },
			Restored: func() { fmt.Fprintf(w.stderr, "runnel: connection lost: %v; reconnected\n", dropped) },
		}
	}
	return &client.Reconnect{
		Timeout:  remoteLinger,
		Dropped:  func(err error) { fmt.Fprintf(w.stderr, "runnel: connection lost: %v; reconnecting\n", err) },
		Restored: func() { fmt.Fprintln(w.stderr, "runnel: reconnected") },
	}
}

// lingering sets what becomes of a command whose `run` is gone. One on the user's own server ends when the
// connection drops, for that is the end of `run`, unless it was stopped and said so. To one at a URL the
// connection may only have failed.
func (t *target) lingering(p *rpc.ExecuteParams) {
	p.Linger = rpc.Seconds{Set: true, D: localLinger}
	if t.URL != "" {
		p.OnDisconnect = rpc.OnDisconnectKeep
		p.Linger.D = remoteLinger
	}
}
