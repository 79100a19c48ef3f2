//go:build linux

package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/server"
)

var small = object{"rows": 24, "cols": 80}

// screen collects the output of a terminal.
type screen struct {
	p  *peer
	id string
	x  transcript
}

func (p *peer) terminal(params object) *screen {
	p.t.Helper()
	if params["pty"] == nil {
		params = with(params, "pty", small)
	}
	id := p.start(params)
	return &screen{p: p, id: id, x: transcript{id: id}}
}

func (s *screen) shown() string { return string(s.x.data["pty"]) }

// wants reads until the output after the last call contains text.
func (s *screen) wants(text string) string {
	s.p.t.Helper()
	from := len(s.shown())
	for !strings.Contains(s.shown()[from:], text) {
		m := s.p.next("output with "+text, func(m *message) bool { return m.session == s.id && m.Method != "" })
		if err := s.x.take(m); err != nil {
			s.p.t.Fatal(err)
		}
		if s.x.record != nil {
			s.p.t.Fatalf("ended without %q: %q", text, s.shown())
		}
	}
	return s.shown()[from:]
}

func (s *screen) types(text string) {
	s.p.t.Helper()
	s.p.ok("write", object{"session_id": s.id, "data": text}, nil)
}

func (s *screen) ended() *rpc.Completion {
	s.p.t.Helper()
	s.p.follow(&s.x)
	return s.x.record
}

// TestPTY: the events and the status of a command on a terminal.
func TestPTY(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	if !contains(strings.Join(p.hello.Capabilities, " "), "pty") {
		t.Errorf("%v", p.hello.Capabilities)
	}
	c := p.terminal(object{"command": `stty size; echo $TERM; echo err >&2; printf "who? "; read line; echo "got $line"
trap "stty size; exit 5" WINCH; echo ready; while :; do sleep 0.02; done`})
	c.wants("who? ")
	c.types("hello\n")
	c.wants("ready\r\n")
	var r rpc.ControlResult
	p.ok("control", object{"type": "RESIZE", "rows": 50, "cols": 132}, &r)
	if r.Status != "resized" || r.SessionID != c.id {
		t.Errorf("%+v", r)
	}
	rec := c.ended()
	want := "24 80\r\nxterm-256color\r\nerr\r\nwho? hello\r\ngot hello\r\nready\r\n50 132\r\n"
	if c.shown() != want || len(c.x.data) != 1 {
		t.Errorf("%q", c.x.data)
	}
	if rec.Output.PTYBytes != int64(len(want)) || rec.Output.StdoutBytes+rec.Output.StderrBytes != 0 || *rec.ExitCode != 5 {
		t.Errorf("%+v", rec)
	}
	for _, o := range c.x.outputs {
		if o.Partial {
			t.Errorf("raw output has no lines to be partial: %+v", o)
		}
	}
	p.fails(-32005, "control", object{"session_id": c.id, "type": "RESIZE", "rows": 1, "cols": 1})
}

// TestPTYParams: params that are allowed with pty, and those that are not.
func TestPTYParams(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Defaults.Environ = []string{"PATH=/usr/bin:/bin", "TERM=server"} })
	p := s.dial(t)
	for field, params := range map[string]object{
		"stdin":    {"pty": small, "stdin": "none"},
		"pty.rows": {"pty": object{"cols": 80}},
		"pty.cols": {"pty": object{"rows": 24, "cols": 65536}},
		"pty.term": {"pty": with(small, "term", "a\x00b")},
		"pty.x":    {"pty": with(small, "x", 1)},
		"pty":      {"pty": true},
	} {
		if e := p.fails(-32602, "execute", with(params, "command", "true")); e.Data["field"] != field {
			t.Errorf("%s: %+v", field, e)
		}
	}
	shows := func(want string, params object) {
		t.Helper()
		var r rpc.Captured
		p.ok("execute", with(params, "wait", true, "command", "env | grep ^TERM"), &r)
		if r.PTY == nil || *r.PTY != want || r.Stdout != nil || r.Stderr != nil {
			t.Errorf("%v: %+v", params, r)
		}
	}
	shows("TERM=xterm-256color\r\n", object{"pty": small, "stdin": "pipe"})
	shows("TERM=vt100\r\n", object{"pty": with(small, "term", "vt100"), "env": object{"TERM": "ansi"}})
	shows("TERM=ansi\r\n", object{"pty": small, "env": object{"TERM": "ansi"}})
	shows("TERM=xterm-256color\r\n", object{"pty": small, "env": object{"TERM": nil}})

	id := p.start(object{"command": "sleep 1000", "pty": small})
	for field, params := range map[string]object{"rows": {"cols": 1}, "cols": {"rows": 1}} {
		if e := p.fails(-32602, "control", with(params, "type", "RESIZE", "session_id", id)); e.Data["field"] != field {
			t.Errorf("%s: %+v", field, e)
		}
	}
	p.fails(-32602, "control", object{"type": "RESIZE", "rows": 0, "cols": 1})
	p.ok("control", object{"type": "PAUSE"}, nil)
	p.ok("control", object{"type": "RESIZE", "rows": 1, "cols": 1}, nil)
	p.ok("cancel", nil, nil)
	same := uuid.NewString()
	p.ok("execute", object{"command": "cat", "pty": small, "session_id": same}, nil)
	p.ok("execute", object{"command": "cat", "pty": small, "session_id": same}, nil)
	p.fails(-32007, "execute", object{"command": "cat", "pty": object{"rows": 25, "cols": 80}, "session_id": same})
	p.ok("cancel", nil, nil)
}

// TestPTYCapture: execute with wait, and wait, return the newest output of the terminal, also in
// lines mode.
func TestPTYCapture(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	var r rpc.Captured
	p.ok("execute", object{"command": "seq 1 1000", "pty": small, "wait": true, "capture_bytes": 12}, &r)
	if r.PTY == nil || *r.PTY != "\n999\r\n1000\r\n"[1:] && *r.PTY != "\n999\r\n1000\r\n" || !r.PTYTruncated {
		t.Errorf("%+v", r)
	}
	x := p.run(object{"command": "printf 'a\nb'; sleep 0.3; printf 'c\n'", "pty": small, "mode": "lines", "encoding": "auto"})
	if len(x.outputs) != 3 || x.outputs[0].Data != "a\r\n" || !x.outputs[1].Partial || x.outputs[2].Data != "c\r\n" {
		t.Errorf("%+v", x.outputs)
	}
	p.ok("wait", object{"session_id": x.id, "capture_bytes": 100}, &r)
	if *r.PTY != "a\r\nbc\r\n" {
		t.Errorf("%+v", r)
	}
}

// TestPTYKeys: Ctrl-C interrupts, eof ends the input, and the terminal can be written to
// afterwards.
func TestPTYKeys(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	c := p.terminal(object{"command": `stty -echoctl; trap : INT; echo ready; sleep 1000; cat; echo next; cat; exit 4`})
	c.wants("ready\r\n")
	eventually(t, "the sleep ends by Ctrl-C", func() bool { // the first Ctrl-C may be typed before it runs
		c.types("\x03")
		return !pollFor(100*time.Millisecond, func() bool { return s.registry.Running() == 0 }) && !sleeping(p, c.id)
	})
	c.types("x\n")
	c.wants("x\r\n")
	p.ok("write", object{"data": "", "eof": true}, nil)
	c.wants("next\r\n")
	c.types("still here\n")
	c.wants("still here\r\n")
	p.ok("write", object{"data": "last\n", "eof": true}, nil)
	if rec := c.ended(); rec.ExitCode == nil || *rec.ExitCode != 4 || strings.Count(c.shown(), "last\r\n") != 2 {
		t.Errorf("%+v, %q", rec, c.shown())
	}
	p.fails(-32006, "write", object{"session_id": c.id, "data": "x"})
}

// sleeping reports whether a session has a sleep among its processes.
func sleeping(p *peer, id string) bool {
	var st rpc.SessionStatus
	p.ok("status", object{"session_id": id}, &st)
	for pid := range processes() {
		if f := stat(pid); len(f) > 3 && f[3] == fmt.Sprint(st.PID) {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(name) == "sleep\n" {
				return true
			}
		}
	}
	return false
}

// TestPTYIsExact: output of any bytes arrives unchanged.
func TestPTYIsExact(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	copy(data[500:], "\x1b[2J\x1b[31m\r\n\x00\x04\xc3")
	file := filepath.Join(t.TempDir(), "screen")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"raw", "-opost"} {
		for _, encoding := range []string{"base64", "auto"} {
			h := sha256.New()
			x := &transcript{hash: func(_ string, b []byte) { _, _ = h.Write(b) }}
			x.id = p.start(object{"command": "stty " + mode + "; cat " + file, "pty": small, "encoding": encoding})
			p.follow(x)
			if sum := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), sum[:]) || x.record.Output.PTYBytes != 1<<20 {
				t.Errorf("%s, %s: %d bytes, %+v", mode, encoding, x.bytes["pty"], x.record)
			}
		}
	}
	c := p.terminal(object{"command": "stty raw -echo; echo ready; head -c 1048576 | sha256sum"})
	c.wants("ready\n")
	for i := 0; i < len(data); i += 1 << 17 {
		p.ok("write", object{"session_id": c.id, "data": base64.StdEncoding.EncodeToString(data[i : i+1<<17]), "encoding": "base64"}, nil)
	}
	if c.ended(); c.shown() != fmt.Sprintf("ready\n%x  -\n", sha256.Sum256(data)) {
		t.Errorf("%q", c.shown())
	}
}

// jobs are typed into an interactive shell: process groups, some of which ignore SIGTERM and
// SIGHUP.
const jobs = `sleep 1000 & (trap "" TERM HUP INT; sleep 1000; :) & sleep 1000 | sleep 1000 & sleep 1000 & kill -STOP $!
echo re''ady; sleep 1000
`

func (p *peer) jobs(params object) (c *screen, treeID string) {
	p.t.Helper()
	treeID = "RUNNEL_TREE=" + uuid.NewString()
	c = p.terminal(with(params, "grace", 0.1, "env", object{"RUNNEL_TREE": treeID[len("RUNNEL_TREE="):], "HISTFILE": ""}))
	c.types(jobs)
	c.wants("ready\r\n")
	eventually(p.t, "all jobs run", func() bool { return len(processesOf(treeID)) >= 8 })
	return c, treeID
}

// interrupts types Ctrl-C until the job in the foreground has ended. It first waits for the job:
// a shell that is interrupted while it starts a job may leave it running. The processes of the tree
// are not counted, since one that is in its exec has no environment for a moment.
func (s *screen) interrupts(treeID string) {
	s.p.t.Helper()
	job := 0
	eventually(s.p.t, "a job is in the foreground", func() bool {
		all := processesOf(treeID)
		i := slices.IndexFunc(all, inForeground)
		if i >= 0 {
			job = all[i]
		}
		return i >= 0
	})
	eventually(s.p.t, "the job in the foreground ends", func() bool {
		s.types("\x03")
		return pollFor(100*time.Millisecond, func() bool { return !alive(job) })
	})
}

// inForeground reports whether a process is a sleep in the foreground process group of its
// terminal.
func inForeground(pid int) bool {
	const group, foreground = 2, 5
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	fields := stat(pid)
	return string(name) == "sleep\n" && len(fields) > foreground && fields[group] == fields[foreground]
}

// TestPTYEndReleasesAllResources guards against jobs of a shell and resources of a terminal that
// are left, for each way in which its session can end.
func TestPTYEndReleasesAllResources(t *testing.T) {
	s := serve(t)
	ends := map[string]func(t *testing.T, p *peer, c *screen, treeID string){
		"cancel": func(t *testing.T, p *peer, c *screen, treeID string) {
			var r rpc.CancelResult
			p.ok("cancel", nil, &r)
			if r.Status != "canceled" || len(r.Survivors) > 0 {
				t.Errorf("%+v", r)
			}
		},
		"reset": func(t *testing.T, p *peer, c *screen, treeID string) { p.reset() },
		"paused": func(t *testing.T, p *peer, c *screen, treeID string) {
			p.ok("control", object{"type": "PAUSE"}, nil)
			p.reset()
		},
		"exit": func(t *testing.T, p *peer, c *screen, treeID string) {
			c.interrupts(treeID)
			eventually(t, "the shell exits", func() bool { // it needs a second exit while jobs are stopped
				p.call("write", object{"session_id": c.id, "data": "exit\n"})
				return pollFor(100*time.Millisecond, func() bool { return s.registry.Running() == 0 })
			})
			c.ended()
		},
		"kill": func(t *testing.T, p *peer, c *screen, treeID string) {
			p.ok("control", object{"type": "SIGNAL", "signal": "SIGKILL"}, nil)
			c.ended()
		},
		"flood": func(t *testing.T, p *peer, c *screen, treeID string) {
			c.interrupts(treeID)
			c.types("yes\n")
			c.wants("y\r\ny\r\n")
			p.reset()
		},
		"stdin never read": func(t *testing.T, p *peer, c *screen, treeID string) {
			c.interrupts(treeID)
			c.types("stty raw -echo; sleep 1000\n")
			for range 3 {
				p.request("write", object{"session_id": c.id, "data": strings.Repeat("x", 600<<10)})
			}
			p.ok("status", object{"session_id": c.id}, nil)
			p.reset()
		},
	}
	for _, shell := range []string{"bash --norc --noprofile -i", "sh -i"} {
		for name, end := range ends {
			t.Run(shell[:4]+name, func(t *testing.T) {
				before := usedResources()
				p := s.dial(t)
				c, treeID := p.jobs(object{"command": "exec " + shell})
				end(t, p, c, treeID)
				s.idle()
				_ = p.ws.CloseNow()
				awaitReleased(t, before)
				if left := processesOf(treeID); len(left) > 0 {
					t.Errorf("processes left: %v", left)
				}
			})
		}
	}
}

// TestPTYPause: the jobs of a shell are paused with it, and the shell does not report them as
// stopped.
func TestPTYPause(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	c, treeID := p.jobs(object{"command": "exec bash --norc --noprofile -i"})
	stopped := func() (n int) {
		for _, pid := range processesOf(treeID) {
			if f := stat(pid); len(f) > 0 && f[0] == "T" {
				n++
			}
		}
		return n
	}
	all := len(processesOf(treeID))
	eventually(t, "one process is stopped", func() bool { return stopped() == 1 })
	p.ok("control", object{"type": "PAUSE"}, nil)
	if host.Containment() != process.Cgroup { // a frozen process has no state of its own
		eventually(t, "all processes are stopped", func() bool { return stopped() == all })
	}
	p.ok("control", object{"type": "RESUME"}, nil)
	eventually(t, "one process is still stopped", func() bool { return stopped() == 1 })
	c.interrupts(treeID)
	c.types("echo do''ne\n")
	c.wants("done\r\n")
	if n := strings.Count(c.shown(), "Stopped"); n > 1 {
		t.Errorf("the shell reports %d stopped jobs: %q", n, c.shown())
	}
	p.ok("cancel", nil, nil)
}

// TestPTYFloodToASlowClient: a slow client blocks a terminal like a pipe, in bounded memory and
// without loss.
func TestPTYFloodToASlowClient(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	var id string
	const lines = 600000
	written := func() int64 {
		var st rpc.SessionStatus
		q.ok("status", object{"session_id": id}, &st)
		return st.Output.PTYBytes
	}
	flat(t, 8<<20, func() {
		id = p.start(object{"command": fmt.Sprintf("seq 1000001 %d", 1000000+lines), "pty": small})
		last := int64(-1)
		eventually(t, "the terminal blocks", func() bool {
			now := written()
			still := now == last && now > 0
			last = now
			return still && !pollFor(200*time.Millisecond, func() bool { return written() != now })
		})
	})
	if n := written(); n >= 9*lines {
		t.Fatalf("all %d bytes were written although the client reads nothing", n)
	}
	next := 1000001
	var rest []byte
	x := &transcript{id: id, hash: func(_ string, data []byte) {
		rest = append(rest, data...)
		for len(rest) >= 9 && string(rest[:9]) == fmt.Sprintf("%d\r\n", next) {
			rest, next = rest[9:], next+1
		}
	}}
	p.follow(x)
	if next != 1000001+lines || len(rest) > 0 || len(x.gaps) > 0 || x.record.Output.PTYBytes != 9*lines {
		t.Errorf("up to %d, %d left over, %+v", next, len(rest), x.record)
	}
}

// TestPTYHasNoStreamDeadline: by default, since silence is normal at a terminal. A deadline of
// the client applies.
func TestPTYHasNoStreamDeadline(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Server.Defaults = withSilence(set.Server.Defaults) })
	p := s.dial(t)
	if x := p.run(object{"command": "sleep 0.5", "pty": small}); x.record.Reason != "exited" {
		t.Errorf("%+v", x.record)
	}
	if x := p.run(object{"command": "sleep 1000", "pty": small, "stream_timeout": 0.2}); x.record.Reason != "stream_timeout" {
		t.Errorf("%+v", x.record)
	}
	if x := p.run(object{"command": "sleep 1000"}); x.record.Reason != "stream_timeout" {
		t.Errorf("%+v", x.record)
	}
}

func withSilence(d server.Defaults) server.Defaults {
	d.StreamTimeout = 200 * time.Millisecond
	return d
}
