package mcp

import (
	"context"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// watch examines a session while run_command waits for it: it reports progress to the host, and notices
// that the command waits for input.
type watch struct {
	server *Server
	call   *call
	id     string
	began  time.Time
	wait   time.Duration

	written int64  // bytes of output at the last check
	idle    int    // checks in a row without new output, while the command waits for input
	quiet   int    // checks since the last notification
	line    string // the newest line
}

func newWatch(s *Server, c *call, id string, wait time.Duration) *watch {
	return &watch{server: s, call: c, id: id, began: time.Now(), wait: wait}
}

// check reports progress, and returns whether the host should have the session now: the command waits
// for input, and nothing else happens.
func (w *watch) check(ctx context.Context) bool {
	st, err := w.server.status(ctx, w.id)
	if err != nil {
		return false // the next request of the call fails too
	}
	n := written(&st.Output)
	grown := n > w.written
	w.written = n
	if w.idle++; grown || st.WaitingForInput == nil || !*st.WaitingForInput {
		w.idle = 0
	}
	w.report(ctx, grown)
	return w.idle >= idleChecks
}

// report sends the newest line, if the host has asked for progress. Without new output it repeats the
// line now and then, since hosts take progress as a sign that the call is alive.
func (w *watch) report(ctx context.Context, grown bool) {
	token := w.call.Params.GetProgressToken()
	if w.quiet++; token == nil || !grown && w.quiet < quietChecks {
		return
	}
	w.quiet = 0
	if grown {
		const newest = 2 << 10
		if p, err := w.server.read(ctx, w.id, max(0, w.written-newest), 2*newest, 0); err == nil {
			w.line = lastLine(p.data)
		}
	}
	_ = w.call.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{
		ProgressToken: token,
		Progress:      time.Since(w.began).Seconds(),
		Total:         w.wait.Seconds(),
		Message:       w.line,
	})
}
