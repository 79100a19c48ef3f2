//go:build linux

package server_test

import (
	"testing"
)

// TestDeadlinesDoNotCountPauses: neither deadline counts the time of a pause, and both continue
// after it.
func TestDeadlinesDoNotCountPauses(t *testing.T) {
	beside(t)
	p := serve(t).dial(t)
	for _, deadline := range []string{"timeout", "stream_timeout"} {
		id := p.start(object{"command": "exec sleep 1000", deadline: 0.5, "grace": 0.1})
		p.ok("control", object{"session_id": id, "type": "PAUSE"}, nil)
		p.fails(-32004, "wait", object{"session_id": id, "timeout": 1})
		p.ok("control", object{"session_id": id, "type": "RESUME"}, nil)
		if rec := p.completed(id); rec.Reason != deadline {
			t.Errorf("%s: %+v", deadline, rec)
		}
	}
}
