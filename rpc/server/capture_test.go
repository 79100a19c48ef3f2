//go:build linux

package server_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestCaptureHead: with capture_head_bytes the result has the oldest output, even if the log has
// evicted it.
func TestCaptureHead(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	const line = "0123456789abcdef\n"
	all := strings.Repeat(line, 200_000) // more than the log keeps
	for _, encoding := range []string{"utf8", "base64", "auto"} {
		id := uuid.NewString()
		params := object{"command": "yes 0123456789abcdef | head -n 200000; echo last", "wait": true, "encoding": encoding, "session_id": id,
			"capture_head_bytes": 1000, "capture_bytes": 2000}
		var done, again rpc.Captured
		p.ok("execute", params, &done)
		p.ok("wait", object{"session_id": id, "capture_bytes": 100}, &again)
		for newest, c := range map[int]rpc.Captured{2000: done, 100: again} {
			head, tail := *c.StdoutHead, *c.Stdout
			if encoding == "base64" {
				head, tail = decoded(t, head), decoded(t, tail)
			}
			if want := all[:1000/len(line)*len(line)]; head != want {
				t.Errorf("%s: head %d bytes, want %d", encoding, len(head), len(want))
			}
			if !strings.HasSuffix(all+"last\n", tail) || !strings.HasPrefix(tail, "0123") || len(tail) > newest || len(tail) <= newest-len(line) {
				t.Errorf("%s: the newest %d are %d bytes", encoding, newest, len(tail))
			}
			if *c.StdoutOmittedBytes != int64(len(all)+len("last\n")-len(head)-len(tail)) || !c.StdoutTruncated {
				t.Errorf("%s: %d omitted, truncated %v", encoding, *c.StdoutOmittedBytes, c.StdoutTruncated)
			}
			if *c.Stderr != "" || *c.StderrHead != "" || *c.StderrOmittedBytes != 0 || c.StderrTruncated {
				t.Errorf("%s: stderr %+v", encoding, c.CapturedOutput)
			}
		}
		p.pending = nil
	}
	var plain rpc.Captured
	p.ok("execute", object{"command": "echo a", "wait": true, "capture_bytes": 1}, &plain)
	if plain.StdoutHead != nil || plain.StdoutOmittedBytes != nil || *plain.Stdout != "\n" {
		t.Errorf("not asked for: %+v", plain.CapturedOutput)
	}
	var pty rpc.Captured
	p.ok("execute", object{
		"command": "stty -opost; printf 'aaa\\nbbb\\nccc\\n'", "wait": true, "capture_bytes": 4, "capture_head_bytes": 4,
		"pty": object{"rows": 1, "cols": 9},
	}, &pty)
	if *pty.PTYHead != "aaa\n" || *pty.PTY != "ccc\n" || *pty.PTYOmittedBytes != 4 || !pty.PTYTruncated || pty.StdoutHead != nil {
		t.Errorf("%+v", pty.CapturedOutput)
	}
}

// TestCaptureHeadFits: both parts fit into a message together, also if they are longer as JSON,
// and no character is cut.
func TestCaptureHeadFits(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	for name, command := range map[string]string{
		"control":    "head -c 3000000 /dev/zero | tr '\\0' '\\1'",
		"characters": "yes é | head -c 3000000 | tr -d '\\n'",
	} {
		var c rpc.Captured
		p.ok("execute", object{"command": command, "wait": true, "mode": "raw", "capture_bytes": 1 << 20, "capture_head_bytes": 1 << 20}, &c)
		head, tail := *c.StdoutHead, *c.Stdout
		if len(head) < 10_000 || len(tail) < 10_000 || *c.StdoutOmittedBytes != c.Output.StdoutBytes-int64(len(head)+len(tail)) || c.StdoutReplaced != 0 {
			t.Errorf("%s: %d, %d, %d omitted, %d replaced", name, len(head), len(tail), *c.StdoutOmittedBytes, c.StdoutReplaced)
		}
	}
}

func decoded(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// TestWaitTimeout: the output in the reply after wait_timeout and the output that is read after
// it are the whole output.
func TestWaitTimeout(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := uuid.NewString()
	params := object{"command": "echo out; echo err >&2; read x; echo $x", "stdin": "pipe", "wait": true, "wait_timeout": 0.05, "session_id": id,
		"on_disconnect": "keep", "capture_head_bytes": 100}
	var r struct {
		rpc.StillRunning
		Reason *string `json:"reason"`
	}
	eventually(t, "both streams have output", func() bool {
		p.ok("execute", params, &r)
		return *r.Stdout+*r.Stderr == "out\nerr\n"
	})
	if r.Status != "running" || r.SessionID != id || r.LastSeq != 9 || r.Reason != nil || *r.StdoutHead != "" || *r.StdoutOmittedBytes != 0 {
		t.Errorf("%+v", r)
	}
	p.ok("write", object{"session_id": id, "data": "more\n"}, nil)
	var read rpc.ReadResult
	p.ok("read", object{"session_id": id, "after_seq": r.LastSeq}, &read)
	if len(read.Events) == 0 || !strings.Contains(string(read.Events[0].Params), `"data":"more\n"`) {
		t.Errorf("%s", read.Events)
	}
	var c rpc.Captured
	p.ok("execute", with(params, "wait_timeout", 0.05), &c) // it has ended
	if c.Status == "running" {                              // or not yet
		p.ok("wait", object{"session_id": id}, nil)
		p.ok("execute", params, &c)
	}
	if c.Status != "completed" || *c.Stdout != "out\nmore\n" {
		t.Errorf("%+v", c)
	}
	if e := p.fails(-32602, "execute", object{"command": "true", "wait_timeout": 1}); e.Data["field"] != "wait_timeout" {
		t.Errorf("%+v", e)
	}
}
