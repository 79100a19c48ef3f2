//go:build linux

package server_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// heapBytes returns how many bytes of the heap are in use.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestControlsOfQueuedSessionAreBounded: a queued session does not keep the params of controls that were
// canceled, or whose connection has ended.
func TestControlsOfQueuedSessionAreBounded(t *testing.T) {
	const (
		each   = 900 << 10
		number = 40 // below the limits of a connection
		bound  = 10 << 20
	)
	s := serve(t, oneSlot)
	p := s.dial(t)
	busy := p.start(sleeper)
	id := p.queued(with(sleeper, "queue_timeout", nil, "on_disconnect", "keep", "linger", nil))
	params := func(kind string) string {
		return text(object{"session_id": id, "type": kind, "signal": strings.Repeat("X", each)})
	}
	p.fails(rpc.CodeInvalidParams, "control", params("SIGNAL")) // at once
	pause := params("PAUSE")
	before := heapBytes()
	for range number {
		request := p.request("control", pause)
		p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, request)
		p.bad(rpc.CodeRequestCanceled, p.reply(request))
	}
	if n := heapBytes() - before; n > bound {
		t.Errorf("%d MiB are kept after the requests were canceled", n>>20)
	}
	for range 2 {
		other := s.dial(t)
		for range number / 2 {
			other.send(`{"jsonrpc":"2.0","method":"control","params":%s}`, pause)
		}
		other.ok("status", object{"session_id": id}, nil)
		_ = other.ws.CloseNow()
	}
	eventually(t, "memory is released", func() bool { return heapBytes()-before < bound })
	p.ok("cancel", object{"session_id": busy}, nil)
	p.event("process.started", id)
	p.ok("status", object{"session_id": id}, nil)
	p.ok("cancel", object{"session_id": id}, nil)
}

// TestAuditOfControlsInTheQueue: each control of a queued session has one line, also if it was canceled,
// its connection has ended, or the session has failed.
func TestAuditOfControlsInTheQueue(t *testing.T) {
	a := auditTo(t, audit.Options{})
	s := serve(t, oneSlot, a.set)
	p := s.dial(t)
	busy := p.start(sleeper)
	id := p.queued(sleeper)
	canceled := p.request("control", object{"session_id": id, "type": "PAUSE"})
	p.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":%s}}`, canceled)
	p.bad(rpc.CodeRequestCanceled, p.reply(canceled))
	other := s.dial(t)
	other.request("control", object{"session_id": id, "type": "RESIZE"})
	other.ok("status", object{"session_id": id}, nil)
	other.reset()
	eventually(t, "the line of the other connection", func() bool {
		lines, err := os.ReadFile(a.path)
		return err == nil && strings.Contains(string(lines), `"RESIZE"`)
	})
	refused := p.request("control", object{"session_id": id, "type": "RESUME"})
	p.ok("cancel", object{"session_id": id}, nil)
	p.bad(rpc.CodeNotRunning, p.reply(refused))
	p.fails(rpc.CodeNotRunning, "control", object{"session_id": id, "type": "SIGNAL", "signal": "TERM"})
	p.ok("cancel", object{"session_id": busy}, nil)
	s.shutdown(0)
	var got []string
	for _, x := range of(a.lines(), "control") {
		if x.SessionID == id && x.Action != rpc.ControlCancel {
			code := 0
			if x.Error != nil {
				code = x.Error.Code
			}
			got = append(got, fmt.Sprint(x.Action, " ", code))
		}
	}
	if want := []string{"PAUSE -32800", "RESIZE -32800", "RESUME -32005", "SIGNAL -32005"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
