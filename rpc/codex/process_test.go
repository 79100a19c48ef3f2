//go:build linux

package codex_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testEndOfACommand checks output, exit code and order of the events.
func testEndOfACommand(t *testing.T, s *service) {
	c := s.client()
	for i, test := range []struct {
		script, output string
		code           int
	}{
		{"echo hello; exit 3", "hello\n", 3},
		{"true", "", 0},
		{"kill -TERM $$", "", 128 + 15},
		{"kill -KILL $$", "", 128 + 9},
		{"printf x; exec 1>&- 2>&-; sleep 0.1; exit 4", "x", 4},
		{"head -c 300000 /dev/zero | tr '\\0' y", strings.Repeat("y", 300000), 0},
		{"printf '\\377\\303'", "\xff\xc3", 0},
	} {
		id := fmt.Sprint("p", i)
		c.start(id, test.script)
		if output, code := c.ended(id); output != test.output || code != test.code {
			t.Errorf("%s: %.40q %d, want %.40q %d", test.script, output, code, test.output, test.code)
		}
		if c.terminate(id) {
			t.Errorf("%s: it runs", test.script)
		}
	}
	s.expect(t, "notifications are in the order of their seq", !c.swapped, true)
}

// testOutputIsAheadOfTheExit checks that all output of a command is ahead of its exit while a background
// process has the pipes open, and that process/closed comes when that one closes them.
func testOutputIsAheadOfTheExit(t *testing.T, s *service) {
	c := s.client()
	file := filepath.Join(t.TempDir(), "go")
	late := false
	for i := range 10 {
		id := fmt.Sprint("p", i)
		c.start(id, fmt.Sprintf("head -c 200000 /dev/zero; (until [ -e %s ]; do sleep 0.01; done; echo late) & exit 5", file))
		n, e := 0, event{}
		for e = c.event(); e.Method == "process/output"; e = c.event() {
			n += len(e.Chunk)
		}
		if late = late || n != 200000; e.Method != "process/exited" || e.ExitCode != 5 {
			t.Fatalf("%d bytes, then %v", n, e)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for e = c.event(); e.Method == "process/output"; e = c.event() {
			n += len(e.Chunk)
		}
		if e.Method != "process/closed" || n != 200000+len("late\n") {
			t.Fatalf("%d bytes, then %v", n, e)
		}
		_ = os.Remove(file)
	}
	s.expect(t, "output of a command comes after its exit", late, false)
	s.idle()
}

// testBackgroundProcesses checks that background processes, also under setsid, outlive their command, and
// a terminate after it, but not the session of their client.
func testBackgroundProcesses(t *testing.T, s *service) {
	c := s.client()
	mark := mark(t)
	c.start(mark, "setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null 2>&1 & exit 0")
	if _, code := c.ended(mark); code != 0 {
		t.Fatal(code)
	}
	if c.terminate(mark) {
		t.Error("the command runs")
	}
	eventually(t, "setsid has run", func() bool { return marked("MARK="+mark) == 2 })
	c.start("next", "true")
	c.ended("next")
	if n := marked("MARK=" + mark); n != 2 {
		t.Fatalf("%d background processes", n)
	}
	defer killMarked("MARK=" + mark)
	c.drop()
	if s.codex {
		time.Sleep(35 * time.Second) // it keeps the session for 30 s, and resuming it would begin them anew
	}
	s.idle()
	s.expect(t, "background processes after the session of the client", marked("MARK="+mark), 0)
}

// testTerminate checks that a terminate ends the whole tree.
func testTerminate(t *testing.T, s *service) {
	c := s.client()
	mark := mark(t)
	file := filepath.Join(t.TempDir(), "runs")
	c.start(mark, "setsid sh -c 'touch "+file+"; exec sleep 1000' & sleep 1000")
	eventually(t, "the tree runs", func() bool {
		_, err := os.Stat(file)
		return err == nil && marked("MARK="+mark) >= 2
	})
	if !c.terminate(mark) {
		t.Error("the command does not run")
	}
	defer killMarked("MARK=" + mark)
	_, code := c.ended(mark)
	s.expect(t, "exit code after process/terminate", code, 128+15)
	s.idle()
	s.expect(t, "processes under setsid after process/terminate", marked("MARK="+mark), 0)
	if c.terminate(mark) || c.terminate("unknown") {
		t.Error("a command runs that does not")
	}
}

// testInterrupt checks that the signal reaches the whole tree.
func testInterrupt(t *testing.T, s *service) {
	c := s.client()
	c.start("p", "trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.01; done")
	c.event()
	c.mustCall("process/signal", map[string]any{"processId": "p", "signal": "interrupt"}, nil)
	for e := c.event(); e.Method != "process/closed"; e = c.event() {
		if e.Method == "process/exited" && e.ExitCode != 7 {
			t.Error(e)
		}
	}
	c.mustCall("process/signal", map[string]any{"processId": "p", "signal": "interrupt"}, nil) // no error after the exit
	c.refused("process/signal", map[string]any{"processId": "p", "signal": "kill"}, -32602)
	unknown := c.outcome("process/signal", map[string]any{"processId": "x", "signal": "interrupt"})
	s.expect(t, "process/signal to an unknown process", unknown, "error -32600")
}

// testTerminal checks that a command can have a terminal.
func testTerminal(t *testing.T, s *service) {
	c := s.client()
	params := command("p", "stty size; tty >/dev/null && echo $TERM; read line; echo got $line")
	params["tty"] = true
	params["env"] = map[string]string{"PATH": "/usr/bin:/bin", "TERM": "vt100"}
	c.mustCall("process/start", params, nil)
	output := ""
	for !strings.Contains(output, "vt100\r\n") {
		e := c.event()
		if e.Stream != "pty" {
			t.Fatal(e)
		}
		output += string(e.Chunk)
	}
	if !strings.HasPrefix(output, "24 80\r\n") {
		t.Errorf("%q", output)
	}
	if status := c.write("p", "abc\n", "1"); status != "accepted" {
		t.Error(status)
	}
	for !strings.Contains(output, "got abc\r\n") {
		output += string(c.event().Chunk)
	}
}

// testWriteIDs checks that a write is carried out once, also after the session was resumed.
func testWriteIDs(t *testing.T, s *service) {
	c := s.client()
	params := command("p", "cat")
	params["pipeStdin"] = true
	c.mustCall("process/start", params, nil)
	for _, id := range []string{"1", "1", "2", "1", "2"} {
		if status := c.write("p", id, id); status != "accepted" {
			t.Error(status)
		}
	}
	d := s.connect("")
	c.drop()
	resume(d, c.session)
	for _, id := range []string{"2", "3", "3"} {
		if status := d.write("p", id, id); status != "accepted" {
			t.Error(status)
		}
	}
	output := ""
	for seq := int64(0); len(output) < 3; {
		r := d.readFrom("p", seq, map[string]any{"waitMs": 10000})
		for _, chunk := range r.Chunks {
			output += string(chunk.Chunk)
		}
		seq = r.NextSeq - 1
	}
	if !d.terminate("p") {
		t.Error("it does not run")
	}
	for !d.readFrom("p", 1000, map[string]any{"waitMs": 10000}).Closed {
	}
	if output != "123" {
		t.Errorf("%q", output)
	}
	late := d.call("process/write", map[string]any{"processId": "p", "chunk": "eA==", "writeId": "9"})
	s.expect(t, "process/write to a command that has ended", string(late.Result), `{"status":"stdinClosed"}`)
	if status := d.write("unknown", "x", "9"); status != "unknownProcess" {
		t.Error(status)
	}
	d.start("none", "cat")
	if status := d.write("none", "x", "1"); status != "stdinClosed" {
		t.Error(status)
	}
}

// resume resumes a session, as soon as the server knows that its connection has ended.
func resume(p *peer, id string) {
	p.t.Helper()
	eventually(p.t, "the session can be resumed", func() bool {
		m := p.call("initialize", map[string]any{"clientName": "test", "resumeSessionId": id})
		if m.Error != nil && m.Error.Code != -32010 {
			p.t.Fatalf("%+v", *m.Error)
		}
		return m.Error == nil
	})
	p.session = id
	p.send(`{"method":"initialized"}`)
}

// testEnvironment checks what commands inherit from the server.
func testEnvironment(t *testing.T, s *service) {
	c := s.client()
	for i, test := range []struct {
		policy map[string]any
		want   string
	}{
		{nil, "OWN=2 PWD=/"},
		{map[string]any{"inherit": "all", "ignoreDefaultExcludes": true, "exclude": []string{"path"}, "set": map[string]string{"OWN": "1"}, "includeOnly": []string{}},
			"API_KEY=k HOME=/ OF_SERVER=1 OWN=2 PWD=/"},
		{map[string]any{"inherit": "all", "ignoreDefaultExcludes": false, "exclude": []string{"P*"}, "set": map[string]string{}, "includeOnly": []string{}},
			"HOME=/ OF_SERVER=1 OWN=2 PWD=/"},
		{map[string]any{"inherit": "core", "ignoreDefaultExcludes": true, "exclude": []string{"pat?"}, "set": map[string]string{"A": "1"}, "includeOnly": []string{"A", "h*"}},
			"A=1 HOME=/ OWN=2 PWD=/"},
	} {
		id := fmt.Sprint("p", i)
		params := command(id, "")
		params["argv"] = []string{"/usr/bin/env"}
		params["env"], params["envPolicy"] = map[string]string{"OWN": "2"}, test.policy
		c.mustCall("process/start", params, nil)
		output, _ := c.ended(id)
		lines := slices.DeleteFunc(strings.Fields(output), func(v string) bool { return strings.HasPrefix(v, "CODEX_HOME=") })
		s.expect(t, "PWD is in the environment", slices.Contains(lines, "PWD=/"), true)
		if s.codex {
			lines = append(lines, "PWD=/")
		}
		got := strings.Join(sorted(lines), " ")
		if got != test.want {
			t.Errorf("%v: %s, want %s", test.policy, got, test.want)
		}
	}
}
