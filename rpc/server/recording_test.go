//go:build linux

package server_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// recorded returns a recording, which it reads in pages of so many entries; 0 is as many as fit.
func (p *peer) recorded(id string, limit int64) (all rpc.RecordingResult) {
	p.t.Helper()
	params := rpc.RecordingParams{SessionID: id}
	if limit > 0 {
		params.Limit = &limit
	}
	for first := true; first || params.After > 0; first = false {
		var page rpc.RecordingResult
		p.ok("recording", params, &page)
		if limit > 0 && int64(len(page.Entries)) > limit+2 {
			p.t.Errorf("%d entries, at most %d were asked for", len(page.Entries), limit)
		}
		entries := append(all.Entries, page.Entries...)
		all = page
		all.Entries = entries
		params.After = page.Next
	}
	if !slices.IsSortedFunc(all.Entries, func(a, b rpc.RecordingEntry) int {
		if a.Time < b.Time || a.Time == b.Time && a.Seq <= b.Seq {
			return -1
		}
		return 1
	}) {
		p.t.Errorf("not in order: %+v", all.Entries)
	}
	return all
}

// input returns the recorded input.
func input(t *testing.T, r *rpc.RecordingResult) string {
	t.Helper()
	var b strings.Builder
	for _, e := range r.Entries {
		if e.Type != rpc.RecordedInput {
			continue
		}
		if e.Encoding == "" {
			b.WriteString(e.Data)
			continue
		}
		data, err := base64.StdEncoding.DecodeString(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}

// writtenAt returns the time of the output at a position.
func writtenAt(t *testing.T, r *rpc.RecordingResult, seq int64) time.Time {
	t.Helper()
	start, err := time.Parse(time.RFC3339Nano, r.Start)
	if err != nil {
		t.Fatal(err)
	}
	at := -1.0
	for _, e := range r.Entries {
		if e.Type == rpc.RecordedOutput && e.Seq < seq {
			at = e.Time
		}
	}
	return start.Add(time.Duration(at * float64(time.Second)))
}

// TestRecordedTimes: the recording of a terminal says when its output was written, to within its interval, and
// when it got another size.
func TestRecordedTimes(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	c := p.terminal(object{"command": "stty -echo; for i in 1 2 3 4; do echo line $i; read x; done"})
	type written struct {
		seq           int64
		after, before time.Time
	}
	var all []written
	after := time.Now().Add(-time.Hour)
	for _, line := range []string{"line 1", "line 2", "line 3", "line 4"} {
		c.wants(line + "\r\n")
		all = append(all, written{c.x.seq, after, time.Now()})
		time.Sleep(50 * time.Millisecond) // more than the interval
		after = time.Now()
		if line == "line 2" {
			p.ok("control", object{"session_id": c.id, "type": "RESIZE", "rows": 10, "cols": 30}, nil)
		}
		c.types("\n")
	}
	c.ended()
	for _, limit := range []int64{0, 1, 2, 3} {
		r := p.recorded(c.id, limit)
		for _, w := range all {
			const allowed = 2 * time.Millisecond // for the clocks
			if at := writtenAt(t, &r, w.seq); at.Before(w.after.Add(-allowed)) || at.After(w.before.Add(allowed)) {
				t.Errorf("output at %d: recorded at %v, written between %v and %v", w.seq, at, w.after, w.before)
			}
		}
		var sizes []rpc.RecordingEntry
		for _, e := range r.Entries {
			if e.Type == rpc.RecordedResize {
				sizes = append(sizes, e)
			}
		}
		if len(sizes) != 2 || sizes[0].Rows != 24 || sizes[0].Cols != 80 || sizes[1].Rows != 10 || sizes[1].Cols != 30 ||
			sizes[0].Seq != 1 || sizes[1].Seq != all[1].seq {
			t.Errorf("sizes %+v", sizes)
		}
		if r.Input || input(t, &r) != "" || r.Term != "xterm-256color" {
			t.Errorf("%+v", r)
		}
	}
}

// encodings are what base64 of a text has in it that begins with the text, or with another byte or two.
func encodings(text string) (all []string) {
	for i := range 3 {
		part := text[i:]
		all = append(all, base64.RawStdEncoding.EncodeToString([]byte(part[:len(part)/3*3])))
	}
	return all
}

// TestRecordedInput: what is written to a terminal is recorded while that echoes, in order. What is written
// while it does not, such as a password, is in no reply and in no file of the spool. The recording survives
// the server, and is deleted with its session.
func TestRecordedInput(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	const first, secret, last = "the first visible line\n", "correct horse battery staple\n", "the last visible line: é\n"
	c := p.terminal(object{"record_input": true, "on_disconnect": "keep", "session_id": uuid.NewString(),
		"command": "echo ready; read a; stty -echo; echo password; read b; stty echo; echo again; read c; echo end"})
	c.wants("ready\r\n")
	c.types(first)
	c.wants("password\r\n")
	c.types(secret)
	c.wants("again\r\n")
	c.types(last)
	c.wants("end\r\n")
	c.ended()
	var st rpc.SessionStatus
	p.ok("status", object{"session_id": c.id}, &st)
	before := p.recorded(c.id, 0)
	if got := input(t, &before); got != first+last || !before.Input || !st.RecordInput {
		t.Errorf("%q is recorded; record_input %v", got, st.RecordInput)
	}
	s.idle()
	s.shutdown(0)
	s = serve(t, inSpool(dir))
	p = s.dial(t)
	if after := p.recorded(c.id, 0); text(after) != text(before) {
		t.Errorf("after a restart:\n%s\n%s", text(after), text(before))
	}
	p.ok("status", object{"session_id": c.id}, &st)
	if !st.RecordInput {
		t.Error("the status does not tell after a restart that input was recorded")
	}
	found := func(text string) (files []string) {
		for _, e := range append(encodings(text), text) {
			files = append(files, grepped(t, dir, e)...)
		}
		return files
	}
	if files := found(strings.TrimSpace(secret)); files != nil {
		t.Errorf("the password is in %v", files)
	}
	if found(strings.TrimSpace(first)) == nil {
		t.Error("the input is not where it is looked for")
	}
	p.ok("forget", object{"session_id": c.id}, nil)
	p.fails(rpc.CodeSessionNotFound, "recording", object{"session_id": c.id})
	if files := found(strings.TrimSpace(first)); files != nil {
		t.Errorf("forgotten input is in %v", files)
	}
}

// TestRecordedInputIsBounded: the reply says that input was not recorded. A large recording has several
// pages.
func TestRecordedInputIsBounded(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	c := p.terminal(object{"record_input": true, "stream": false, "command": "cat >/dev/null; exit 3"})
	line := strings.Repeat("\xff\xfe", 400) + "\n"
	typed := strings.Repeat(line, 100)
	for range 16 {
		p.ok("write", object{"session_id": c.id, "data": base64.StdEncoding.EncodeToString([]byte(typed)), "encoding": "base64"}, nil)
	}
	p.ok("write", object{"session_id": c.id, "eof": true}, nil)
	p.completed(c.id)
	var page rpc.RecordingResult
	p.ok("recording", object{"session_id": c.id}, &page)
	r := p.recorded(c.id, 0)
	got := input(t, &r)
	if !r.InputTruncated || page.Next == 0 || len(got) < 1<<19 || !strings.HasPrefix(strings.Repeat(typed, 16), got) {
		t.Errorf("%d bytes of input, truncated %v, next %d", len(got), r.InputTruncated, page.Next)
	}
}

// TestRecordingAfterACrash: the times of a session that ran when its server crashed are not known.
func TestRecordingAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, inSpool(dir))
	p := s.dial(t)
	c := p.terminal(object{"command": "echo ready; read x"})
	c.wants("ready")
	s = serve(t, inSpool(crashed(t, dir)))
	e := s.dial(t).fails(rpc.CodeNotRunning, "recording", object{"session_id": c.id})
	if e.Data["kind"] != "not_recorded" {
		t.Errorf("%v", e.Data)
	}
}
