package main

import (
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

const (
	// window is how many bytes of output are queued while stdout blocks.
	window = 256 << 10
	// localLinger is the linger of a session on the user's own server: how long it continues while
	// its `run` is stopped, for example by Ctrl-Z.
	localLinger = 24 * time.Hour
	// terminalLinger is the default linger of a session with a terminal.
	terminalLinger = 24 * time.Hour
	// localReconnect is how long to try to reconnect to the user's own server, which either
	// responds at once or has exited.
	localReconnect = 2 * time.Second
	// abandonTimeout bounds the last request to a session whose end is not awaited.
	abandonTimeout = time.Second
)

// remoteLinger is the linger of a session on a server at a URL, and how long `run` and `attach` try
// to reconnect to it. Tests set a shorter one.
var remoteLinger = 2 * time.Minute

// reconnect returns how client verbs that are attached to a session reconnect, with messages that say
// prints. For the user's own server there is one message, after the reconnect.
func (t *target) reconnect(say func(format string, args ...any)) *client.Reconnect {
	if t.URL == "" {
		var dropped error
		return &client.Reconnect{
			Timeout:  localReconnect,
			Dropped:  func(err error) { dropped = err },
			Restored: func() { say("connection lost: %v; reconnected", dropped) },
		}
	}
	return &client.Reconnect{
		Timeout:  remoteLinger,
		Dropped:  func(err error) { say("connection lost: %v; reconnecting", err) },
		Restored: func() { say("reconnected") },
	}
}

// reconnectExecution is reconnect for an execution.
func (t *target) reconnectExecution(e *execution) *client.Reconnect {
	r := t.reconnect(e.say)
	dropped, restored := r.Dropped, r.Restored
	r.Dropped = func(err error) {
		e.lost.Store(true)
		if e.tty.isRaw() && e.tty.out != nil { // what follows would be replayed, with its queries
			e.requestRepaint()
		}
		dropped(err)
	}
	r.Restored = func() {
		e.lost.Store(false)
		restored()
	}
	return r
}

// setLinger sets what happens to a command whose `run` is not connected. On the user's own server
// it ends when the connection is closed, since `run` has then exited, unless `run` was stopped and
// has detached before. On a server at a URL it continues, since the network may have failed.
func (t *target) setLinger(p *rpc.ExecuteParams) {
	p.Linger = rpc.Seconds{Set: true, D: localLinger}
	if t.URL != "" {
		p.OnDisconnect = rpc.OnDisconnectKeep
		p.Linger.D = remoteLinger
	}
}
