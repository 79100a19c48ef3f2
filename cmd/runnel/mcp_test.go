package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc/mcp"
)

// mcpHost is a host of the Model Context Protocol, with `runnel mcp` as its child.
type mcpHost struct {
	*sdk.ClientSession
	t       *testing.T
	command *exec.Cmd

	mu       sync.Mutex
	progress []string
}

// mcpHost starts `runnel mcp` and connects to it. At the end of the test its stdin is closed.
func (p *testDir) mcpHost(t *testing.T, args ...string) *mcpHost {
	t.Helper()
	h := &mcpHost{t: t}
	h.command = p.prepare(t, "runnel", append([]string{"mcp"}, args...)...).Cmd
	h.connect(&sdk.CommandTransport{Command: h.command, TerminateDuration: testTimeout}, "")
	return h
}

// connect connects to the server, with the newest version of MCP if none is given.
func (h *mcpHost) connect(transport sdk.Transport, version string) {
	h.t.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: "test"}, &sdk.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.progress = append(h.progress, r.Params.Message)
		},
	})
	session, err := client.Connect(h.t.Context(), transport, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		h.t.Fatal(err)
	}
	h.ClientSession = session
	h.t.Cleanup(func() { _ = session.Close() })
}

// session is the structured content of results.
type mcpSession struct {
	SessionID       string  `json:"session_id"`
	State           string  `json:"state"`
	LastSeq         int64   `json:"last_seq"`
	Text            string  `json:"text"`
	OmittedBytes    int64   `json:"omitted_bytes"`
	LostBytes       int64   `json:"lost_bytes"`
	WaitingForInput bool    `json:"waiting_for_input"`
	Status          string  `json:"status"`
	ExitCode        *int    `json:"exit_code"`
	Signal          *string `json:"signal"`
	Reason          string  `json:"reason"`
	PID             int     `json:"pid"`
	Output          struct {
		StdoutBytes int64 `json:"stdout_bytes"`
	} `json:"output"`

	content string // the text for the model
}

type arguments = map[string]any

// try calls a tool, and returns its text, and whether that is an error.
func (h *mcpHost) try(tool string, args arguments) (r *sdk.CallToolResult, text string) {
	h.t.Helper()
	r, err := h.CallTool(h.t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		h.t.Fatalf("%s %v: %v", tool, args, err)
	}
	for _, c := range r.Content {
		text += c.(*sdk.TextContent).Text
	}
	return r, text
}

// call calls a tool that must not fail, and decodes its structured content.
func (h *mcpHost) call(tool string, args arguments, into any) (text string) {
	h.t.Helper()
	r, text := h.try(tool, args)
	if r.IsError {
		h.t.Fatalf("%s %v: %s", tool, args, text)
	}
	raw, err := json.Marshal(r.StructuredContent)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// session calls a tool that returns a session.
func (h *mcpHost) session(tool string, args arguments) (s mcpSession) {
	h.t.Helper()
	s.content = h.call(tool, args, &s)
	return s
}

// fails calls a tool that must fail with an error for the model that contains text.
func (h *mcpHost) fails(tool string, args arguments, text string) {
	h.t.Helper()
	if r, got := h.try(tool, args); !r.IsError || !strings.Contains(got, text) {
		h.t.Errorf("%s %v: isError %v, %q; want %q", tool, args, r.IsError, got, text)
	}
}

// readUntil reads the output of a session until what follows the position of s, or is in s, contains text.
func (h *mcpHost) readUntil(s mcpSession, text string) mcpSession {
	h.t.Helper()
	got := s.Text
	for end := time.Now().Add(testTimeout); !strings.Contains(got, text); {
		if time.Now().After(end) {
			h.t.Fatalf("the output is %q, without %q", got, text)
		}
		s = h.session("read_output", arguments{"session_id": s.SessionID, "after_seq": s.LastSeq, "wait": 5})
		got += s.Text
	}
	return s
}

// onAndWithoutServer runs a test with a server, and without one.
func onAndWithoutServer(t *testing.T, test func(t *testing.T, p *testDir)) {
	for _, server := range []bool{true, false} {
		t.Run(fmt.Sprintf("server=%v", server), func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			if server {
				p.serve(t)
			}
			test(t, p)
		})
	}
}

// TestMCPTools calls every tool.
func TestMCPTools(t *testing.T) {
	t.Parallel()
	onAndWithoutServer(t, func(t *testing.T, p *testDir) {
		h := p.mcpHost(t)
		h.callTools(p)
	})
}

// callTools calls every tool of a host whose commands run in p.
func (h *mcpHost) callTools(p *testDir) {
	t := h.t
	s := h.session("run_command", arguments{"command": "echo out; echo err >&2; pwd; echo $MARK; exit 3", "env": arguments{"MARK": "set"}})
	if want := "out\nerr\n" + p.dir + "\nset\n"; s.Text != want || s.State != "ended" || s.Status != "failed" || *s.ExitCode != 3 {
		t.Errorf("%+v, want %q", s, want)
	}
	if ok, _ := regexp.MatchString(`(?s)^out\nerr\n.*\[exit code 3, after [0-9.e-]+ s\]$`, s.content); !ok {
		t.Errorf("the text is %q", s.content)
	}
	if s := h.session("run_command", arguments{"command": "pwd", "cwd": "/usr"}); s.Text != "/usr\n" {
		t.Errorf("in /usr: %+v", s)
	}
	if s := h.session("run_command", arguments{"command": "sleep 1000", "timeout": 0.2}); s.Reason != "timeout" || *s.Signal != "SIGTERM" {
		t.Errorf("with a timeout: %+v", s)
	}
	s = h.session("run_command", arguments{"command": `while read line; do echo "got $line"; done; echo end`, "wait": 0})
	if s.State != "running" || s.ExitCode != nil || !strings.Contains(s.content, s.SessionID) {
		t.Errorf("a command that reads: %+v", s)
	}
	var written struct {
		StdinBytes int64 `json:"stdin_bytes"`
	}
	h.call("write_stdin", arguments{"session_id": s.SessionID, "data": "one\n"}, &written)
	if written.StdinBytes != 4 {
		t.Errorf("%d bytes of stdin", written.StdinBytes)
	}
	s = h.readUntil(s, "got one\n")
	h.call("write_stdin", arguments{"session_id": s.SessionID, "data": "two\n", "eof": true}, &written)
	s = h.readUntil(s, "end\n")
	if s = h.session("read_output", arguments{"session_id": s.SessionID, "wait": 20}); s.Text != "got one\ngot two\nend\n" {
		t.Errorf("all output: %+v", s)
	}
	s = h.session("run_command", arguments{"command": `trap 'echo caught' USR1; echo ready; while :; do sleep 0.1; done`, "wait": 0})
	s = h.readUntil(s, "ready\n")
	h.call("send_signal", arguments{"session_id": s.SessionID, "signal": "SIGUSR1"}, &struct{}{})
	s = h.readUntil(s, "caught\n")
	var list struct {
		Sessions []mcpSession `json:"sessions"`
	}
	h.call("list_sessions", nil, &list)
	if len(list.Sessions) != 5 || list.Sessions[0].SessionID != s.SessionID || list.Sessions[0].State != "running" {
		t.Errorf("sessions: %+v", list)
	}
	for range 2 { // the second changes nothing
		if s := h.session("stop_session", arguments{"session_id": s.SessionID}); s.State != "ended" || s.Reason != "canceled" || !strings.Contains(s.Text, "caught") {
			t.Errorf("stopped: %+v", s)
		}
	}
}

// TestMCPSchemas: the tools are described as their results are, and annotated.
func TestMCPSchemas(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	h := p.mcpHost(t)
	list, err := h.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]*jsonschema.Resolved{}
	readOnly, outside := []string{}, []string{}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
		var s jsonschema.Schema
		raw, err := json.Marshal(tool.OutputSchema)
		if err == nil {
			err = json.Unmarshal(raw, &s)
		}
		if err == nil {
			schemas[tool.Name], err = s.Resolve(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if a := tool.Annotations; a.OpenWorldHint == nil || *a.OpenWorldHint { // true by default
			outside = append(outside, tool.Name)
		}
		switch a := tool.Annotations; {
		case a.ReadOnlyHint:
			readOnly = append(readOnly, tool.Name)
		case a.DestructiveHint == nil || !*a.DestructiveHint:
			t.Errorf("%s is not destructive", tool.Name)
		}
	}
	want := mcp.ToolNames()
	slices.Sort(want)
	slices.Sort(names)
	if !slices.Equal(names, want) || !slices.Equal(readOnly, []string{"list_sessions", "read_output"}) {
		t.Errorf("tools %q, of which only read: %q", names, readOnly)
	}
	if slices.Sort(outside); !slices.Equal(outside, []string{"run_command", "write_stdin"}) {
		t.Errorf("tools that reach the outside world: %q", outside)
	}
	s := h.session("run_command", arguments{"command": "cat", "wait": 0})
	id := s.SessionID
	for _, c := range []struct {
		tool string
		args arguments
	}{
		{"run_command", arguments{"command": "true"}},
		{"run_command", arguments{"command": "true", "wait": 0}},
		{"read_output", arguments{"session_id": id}},
		{"write_stdin", arguments{"session_id": id, "data": "x"}},
		{"send_signal", arguments{"session_id": id, "signal": "SIGCONT"}},
		{"list_sessions", arguments{}},
		{"stop_session", arguments{"session_id": id}},
	} {
		r, text := h.try(c.tool, c.args)
		if err := schemas[c.tool].Validate(r.StructuredContent); err != nil || r.IsError {
			t.Errorf("%s: %v: %s", c.tool, err, text)
		}
	}
}

// TestMCPWaitsForInput: run_command returns before its wait is over if the command asks for input.
func TestMCPWaitsForInput(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	h := p.mcpHost(t)
	began := time.Now()
	s := h.session("run_command", arguments{"command": `printf 'name? '; read name; echo "hello $name"`, "wait": 600})
	if s.State != "running" || s.Text != "name? " || !s.WaitingForInput || !strings.Contains(s.content, "waits for input") {
		t.Errorf("after %s: %+v", time.Since(began), s)
	}
	h.call("write_stdin", arguments{"session_id": s.SessionID, "data": "you\n"}, &struct{}{})
	h.readUntil(s, "hello you\n")
}

// TestMCPCancel: a call that the host cancels ends the whole tree.
func TestMCPCancel(t *testing.T) {
	t.Parallel()
	onAndWithoutServer(t, func(t *testing.T, p *testDir) {
		h := p.mcpHost(t)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := h.CallTool(ctx, &sdk.CallToolParams{Name: "run_command", Arguments: arguments{
				"command": "setsid sleep 1000 & echo $! >>pids; echo $$ >>pids; wait", "wait": 600, "name": "canceled",
			}})
			failed <- err
		}()
		awaitLines(t, p.path("pids"), 2)
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		pids, err := os.ReadFile(p.path("pids"))
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range strings.Fields(string(pids)) {
			awaitExit(t, pid)
		}
		if s := h.session("run_command", arguments{"command": "echo next"}); s.Text != "next\n" {
			t.Errorf("after the cancel: %+v", s)
		}
	})
}

// TestMCPProgress: a host that asks for progress gets the newest line of output.
func TestMCPProgress(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.mcpHost(t).awaitProgress(p)
}

// awaitProgress waits for the progress of a command that runs in p.
func (h *mcpHost) awaitProgress(p *testDir) {
	t := h.t
	done := make(chan struct{})
	go func() {
		defer close(done)
		params := &sdk.CallToolParams{Name: "run_command", Arguments: arguments{
			"command": `seq 1 100000; echo newest; while [ ! -e seen ]; do sleep 0.1; done`, "wait": 600,
		}}
		params.SetProgressToken("token")
		if r, err := h.CallTool(t.Context(), params); err != nil || r.IsError {
			t.Errorf("%v, %+v", err, r)
		}
	}()
	newest := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Contains(h.progress, "newest")
	}
	if !poll(newest) {
		t.Errorf("progress: %q", h.progress)
	}
	if err := os.WriteFile(p.path("seen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-done
}

// TestMCPControlCharacters: what a command writes or is called does not control the terminal of a user
// to whom the host shows it, and does not look like the end that the tool reports. Positions count the
// bytes of the output.
func TestMCPControlCharacters(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	h := p.mcpHost(t)
	const output = "\x1b]0;T\a\x1b[2J\x1b[31mred\x1b[0m\u202e\u009b\r\n[exit code 0, after 0.1 s]\r"
	const text = `\x1b]0;T\x07\x1b[2Jred\u202e\u009b` + "\n[exit code 0, after 0.1 s]\n"
	if err := os.WriteFile(p.path("output"), []byte(output), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := regexp.MustCompile(`^\[exit code 3, after [0-9.e-]+ s\]$`)
	s := h.session("run_command", arguments{"command": "cat output; exit 3"})
	if last, found := strings.CutPrefix(s.content, text); !found || !ended.MatchString(last) || s.Text != text {
		t.Errorf("ended: %q, %q", s.content, s.Text)
	}
	s = h.session("run_command", arguments{"command": "cat output; cat # \x1b]0;T\a\u202e", "wait": 0})
	s = h.readUntil(s, "after 0.1 s]\n")
	if want := int64(1 + len(output)); s.LastSeq != want { // 1 is for process.started
		t.Errorf("last_seq is %d, want %d", s.LastSeq, want)
	}
	h.call("write_stdin", arguments{"session_id": s.SessionID, "data": "more\n"}, &struct{}{})
	if s := h.readUntil(mcpSession{SessionID: s.SessionID, LastSeq: s.LastSeq}, "more\n"); s.Text != "more\n" {
		t.Errorf("after last_seq: %q", s.Text)
	}
	var list struct {
		Sessions []struct {
			Command string `json:"command"`
		} `json:"sessions"`
	}
	content := h.call("list_sessions", nil, &list)
	const command = `cat output; cat # \x1b]0;T\x07\u202e`
	if len(list.Sessions) != 2 || list.Sessions[0].Command != command || !strings.Contains(content, command+"\n") {
		t.Errorf("list: %q, %q", list.Sessions, content)
	}

	params := &sdk.CallToolParams{Name: "run_command", Arguments: arguments{
		"command": `printf '\033]0;T\007newest\033[0m\n'; while [ ! -e seen ]; do sleep 0.1; done`, "wait": 600,
	}}
	params.SetProgressToken("token")
	done := make(chan error, 1)
	go func() {
		_, err := h.CallTool(t.Context(), params)
		done <- err
	}()
	newest := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Contains(h.progress, `\x1b]0;T\x07newest`)
	}
	if !poll(newest) {
		t.Errorf("progress: %q", h.progress)
	}
	if err := os.WriteFile(p.path("seen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestMCPLongOutput: 100 MB of output are shortened in the middle, and a process does not wait until its
// output is read. With a server's spool the part that is left out can be read.
func TestMCPLongOutput(t *testing.T) {
	t.Parallel()
	onAndWithoutServer(t, func(t *testing.T, p *testDir) {
		h := p.mcpHost(t)
		const lines, bytes = 10_000_000, 100_000_000
		s := h.session("run_command", arguments{"command": "seq 100000001 111111111 | head -n 10000000", "wait": 600})
		if s.State != "ended" || s.Output.StdoutBytes != bytes || len(s.content) > mcp.MaxHeadBytes+mcp.MaxTailBytes+1024 {
			t.Fatalf("%d bytes, %d of them in the text: %.300s", s.Output.StdoutBytes, len(s.content), s.content)
		}
		note := regexp.MustCompile(`\[(\d+) bytes are left out here: read_output with after_seq (\d+) returns what follows\]\n`)
		at := note.FindStringSubmatchIndex(s.Text)
		if at == nil {
			t.Fatalf("the text has no note: %.300s", s.Text)
		}
		head, tail := s.Text[:at[0]], s.Text[at[1]:]
		omitted, _ := strconv.ParseInt(s.Text[at[2]:at[3]], 10, 64)
		after, _ := strconv.ParseInt(s.Text[at[4]:at[5]], 10, 64)
		if !strings.HasPrefix(head, "100000001\n") || !strings.HasSuffix(tail, "\n110000000\n") || s.OmittedBytes != omitted ||
			int64(len(head)+len(tail))+omitted != bytes {
			t.Fatalf("head %q…, tail …%q, %d omitted", head[:20], tail[len(tail)-20:], omitted)
		}
		for _, text := range []string{head, tail} {
			checkConsecutive(t, text)
		}
		next := h.session("read_output", arguments{"session_id": s.SessionID, "after_seq": after})
		if next.LostBytes > 0 {
			if !strings.HasPrefix(next.Text, fmt.Sprintf("[%d bytes of output are not kept any more]\n", next.LostBytes)) {
				t.Errorf("%d bytes lost: %.200s", next.LostBytes, next.Text)
			}
			return // without a spool
		}
		at = note.FindStringSubmatchIndex(next.Text)
		if at == nil {
			t.Fatalf("what was left out: %.300s", next.Text)
		}
		checkConsecutive(t, head+next.Text[:at[0]])
		if !strings.HasSuffix(next.Text, tail) {
			t.Errorf("the end is %q", next.Text[len(next.Text)-20:])
		}
	})
}

// checkConsecutive checks that the lines of a text are consecutive numbers.
func checkConsecutive(t *testing.T, text string) {
	t.Helper()
	last := 0
	for line := range strings.Lines(text) {
		n, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil || last != 0 && n != last+1 {
			t.Fatalf("%q after %d", line, last)
		}
		last = n
	}
}

// TestMCPPages reads long output of a running command in the way that the notes say.
func TestMCPPages(t *testing.T) {
	t.Parallel()
	onAndWithoutServer(t, func(t *testing.T, p *testDir) {
		h := p.mcpHost(t)
		s := h.session("run_command", arguments{"command": "seq 10001 40000; cat", "wait": 600})
		if s.State != "running" || s.OmittedBytes == 0 || s.LastSeq != 1+6*30000 {
			t.Fatalf("%+v", s)
		}
		note := regexp.MustCompile(`\[\d+ bytes are left out here: read_output with after_seq (\d+) returns what follows\]\n`)
		var all string
		for range 100 {
			at := note.FindStringSubmatchIndex(s.Text)
			if at == nil {
				all += s.Text
				break
			}
			all += s.Text[:at[0]]
			s = h.session("read_output", arguments{"session_id": s.SessionID, "after_seq": json.Number(s.Text[at[2]:at[3]])})
		}
		checkConsecutive(t, all)
		if len(all) != 6*30000 {
			t.Errorf("%d bytes", len(all))
		}
	})
}

// TestMCPInvalid: what is wrong is reported to the model, with the name of the argument.
func TestMCPInvalid(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	h := p.mcpHost(t)
	const unknown = "00000000-0000-4000-8000-000000000000"
	ended := h.session("run_command", arguments{"command": "true"}).SessionID
	for _, c := range []struct {
		tool string
		args arguments
		want string
	}{
		{"run_command", nil, "command is required"},
		{"run_command", arguments{"command": ""}, "command must not be empty"},
		{"run_command", arguments{"command": 1}, "command must be a string"},
		{"run_command", arguments{"command": "true", "shell": "bash"}, "shell is an unknown field"},
		{"run_command", arguments{"command": "true", "wait": -1}, "wait must not be negative"},
		{"run_command", arguments{"command": "true", "wait": 601}, "wait must be at most 600 seconds"},
		{"run_command", arguments{"command": "true", "env": arguments{"A": 1}}, "env.A"},
		{"run_command", arguments{"command": "true", "name": "Not a name"}, "name"},
		{"run_command", arguments{"command": "true", "cwd": "/nonexistent"}, "/nonexistent"},
		{"read_output", arguments{}, "session_id is required"},
		{"read_output", arguments{"session_id": unknown}, "Session not found: " + unknown + ": list_sessions"},
		{"read_output", arguments{"session_id": ended, "after_seq": -1}, "after_seq must be"},
		{"write_stdin", arguments{"session_id": ended}, "data is required"},
		{"write_stdin", arguments{"session_id": ended, "data": "x"}, "read_output returns"},
		{"write_stdin", arguments{"session_id": ended, "data": strings.Repeat("x", mcp.MaxStdinBytes+1)}, "data must be at most 262144 bytes"},
		{"send_signal", arguments{"session_id": ended, "signal": "SIGINT"}, "read_output returns"},
		{"send_signal", arguments{"session_id": ended, "signal": "SIGNONE"}, "signal"},
		{"stop_session", arguments{"session_id": unknown}, "Session not found"},
		{"list_sessions", arguments{"all": true}, "all is an unknown field"},
	} {
		h.fails(c.tool, c.args, c.want)
	}
	if _, err := h.CallTool(t.Context(), &sdk.CallToolParams{Name: "unknown"}); err == nil {
		t.Error("an unknown tool is no error of the protocol")
	}
}

// TestMCPCalls: at most MaxCalls are in progress.
func TestMCPCalls(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	h := p.mcpHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	for range mcp.MaxCalls {
		calls.Go(func() {
			_, _ = h.CallTool(ctx, &sdk.CallToolParams{Name: "run_command", Arguments: arguments{"command": "echo >>begun; sleep 1000", "wait": 600}})
		})
	}
	awaitLines(t, p.path("begun"), mcp.MaxCalls)
	h.fails("run_command", arguments{"command": "true"}, "64 requests are in progress")
	cancel()
	calls.Wait()
	if !poll(func() bool { r, _ := h.try("list_sessions", nil); return !r.IsError }) {
		t.Error("no call is possible after all were canceled")
	}
}

// TestMCPObserver: the role decides which tools there are, and --tools leaves out more.
func TestMCPObserver(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	for _, role := range []string{"run", "observe"} {
		token := p.runnel(t, "token", "new", "alice", "--role", role, "--tokens=tokens").readAll()
		if err := os.WriteFile(p.path(role), []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, ready := p.serve(t, "--tokens=tokens")
	names := func(h *mcpHost) (names []string) {
		list, err := h.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		slices.Sort(names)
		return names
	}
	runner := p.mcpHost(t, "--url", ready.URL, "--token-file=run", "--tools=run_command,stop_session")
	if d := cmp.Diff([]string{"run_command", "stop_session"}, names(runner)); d != "" {
		t.Error(d)
	}
	s := runner.session("run_command", arguments{"command": "echo seen; cat", "wait": 0})
	observer := p.mcpHost(t, "--url", ready.URL, "--token-file=observe")
	if d := cmp.Diff([]string{"list_sessions", "read_output"}, names(observer)); d != "" {
		t.Error(d)
	}
	observer.readUntil(mcpSession{SessionID: s.SessionID}, "seen\n")
	if _, err := observer.CallTool(t.Context(), &sdk.CallToolParams{Name: "run_command", Arguments: arguments{"command": "true"}}); err == nil {
		t.Error("an observer runs a command")
	}
	x := p.runnel(t, "mcp", "--url", ready.URL, "--token-file=observe", "--tools=run_command")
	x.expectExit(exitFailure)
	x.expectError("role")
	x = p.runnel(t, "mcp", "--tools=bash")
	x.expectExit(exitUsage)
	x.expectError("run_command, read_output")
}

// TestMCPHostCloses: when the host closes stdin, `runnel mcp` exits, and its sessions end, except those
// with a name on a server. Another host finds those.
func TestMCPHostCloses(t *testing.T) {
	t.Parallel()
	onAndWithoutServer(t, func(t *testing.T, p *testDir) {
		h := p.mcpHost(t)
		unnamed := h.session("run_command", arguments{"command": "echo $$ >>pids; exec sleep 1000", "wait": 0})
		named := h.session("run_command", arguments{"command": "echo named; echo $$ >>named; exec sleep 1000", "wait": 0, "name": "server"})
		awaitLines(t, p.path("pids"), 1)
		awaitLines(t, p.path("named"), 1)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		pid, _ := os.ReadFile(p.path("pids"))
		awaitExit(t, strings.TrimSpace(string(pid)))
		pid, _ = os.ReadFile(p.path("named"))
		if _, err := os.Stat(p.socket()); err != nil { // without a server
			awaitExit(t, strings.TrimSpace(string(pid)))
			return
		}
		h = p.mcpHost(t)
		if s := h.session("read_output", arguments{"session_id": unnamed.SessionID, "wait": 20}); s.State != "ended" || s.Reason != "disconnected" {
			t.Errorf("without a name: %+v", s)
		}
		if s := h.session("read_output", arguments{"session_id": "server"}); s.SessionID != named.SessionID || s.State != "running" || s.Text != "named\n" {
			t.Errorf("with a name: %+v", s)
		}
		h.fails("run_command", arguments{"command": "true", "name": "server"}, "in use by the session "+named.SessionID)
		if s := h.session("stop_session", arguments{"session_id": "server"}); s.Reason != "canceled" {
			t.Errorf("stopped: %+v", s)
		}
	})
}

// mcpHostMain is a host that starts sessions and then does nothing, until it is killed.
func mcpHostMain() {
	command := exec.Command("runnel", "mcp")
	command.Stderr = os.Stderr
	session, err := sdk.NewClient(&sdk.Implementation{Name: "host"}, nil).Connect(context.Background(), &sdk.CommandTransport{Command: command}, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(command.Process.Pid)
	for _, args := range []arguments{
		{"command": "setsid sleep 1000 & echo $! >>pids; echo $$ >>pids; wait", "wait": 0},
		{"command": "echo $$ >>named; exec sleep 1000", "wait": 0, "name": "kept"},
		{"command": "echo $$ >>pids; exec sleep 1000", "wait": 600},
	} {
		if _, err := session.CallTool(context.Background(), &sdk.CallToolParams{Name: "run_command", Arguments: args}); err != nil {
			panic(err)
		}
	}
}

// TestMCPKilled: a host, or a `runnel mcp`, that is killed leaves nothing but sessions with a name on a
// server.
func TestMCPKilled(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"host", "runnel"} {
		t.Run(victim, func(t *testing.T) {
			onAndWithoutServer(t, func(t *testing.T, p *testDir) {
				host := p.start(t, "runnel-mcp-host")
				child := host.readLine()
				awaitLines(t, p.path("pids"), 3)
				awaitLines(t, p.path("named"), 1)
				pid, err := strconv.Atoi(child)
				if victim == "host" {
					err = host.Process.Kill()
				} else if err == nil {
					err = syscall.Kill(pid, syscall.SIGKILL)
				}
				if err != nil {
					t.Fatal(err)
				}
				awaitExit(t, child)
				pids, _ := os.ReadFile(p.path("pids"))
				named, _ := os.ReadFile(p.path("named"))
				for _, pid := range strings.Fields(string(pids)) {
					awaitExit(t, pid)
				}
				if _, err := os.Stat(p.socket()); err != nil {
					awaitExit(t, strings.TrimSpace(string(named)))
					return
				}
				if _, err := os.Stat("/proc/" + strings.TrimSpace(string(named))); err != nil {
					t.Errorf("the session with a name has ended: %v", err)
				}
				p.runnel(t, "cancel", "kept").expectExit(0)
			})
		})
	}
}

// TestMCPSignal: a signal ends `runnel mcp` and its sessions as the end of stdin does.
func TestMCPSignal(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	x := p.runnel(t, "mcp")
	x.writeStdin(initializeLine("2025-11-25"))
	x.readLine()
	x.writeStdin(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_command","arguments":{"command":"echo $$ >>pids; exec sleep 1000","wait":600}}}` + "\n")
	awaitLines(t, p.path("pids"), 1)
	x.signal(syscall.SIGTERM)
	x.expectExit(0)
	pid, _ := os.ReadFile(p.path("pids"))
	awaitExit(t, strings.TrimSpace(string(pid)))
}

// TestMCPHostDoesNotRead: `runnel mcp` exits when stdin ends, also while it cannot write to stdout.
func TestMCPHostDoesNotRead(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	x := p.runnel(t, "mcp")
	x.writeStdin(initializeLine("2025-11-25"))
	x.readLine()
	x.writeStdin(`{"jsonrpc":"2.0","id":"run","method":"tools/call","params":{"name":"run_command","arguments":{"command":"echo $$ >>pids; exec sleep 1000","wait":600}}}` + "\n")
	awaitLines(t, p.path("pids"), 1)
	for id := range 60 { // their responses do not fit into the pipe
		x.writeStdin(fmt.Sprintf(`{"jsonrpc":"2.0","id":"%d","method":"tools/list"}`+"\n", id))
	}
	if err := x.in.Close(); err != nil {
		t.Fatal(err)
	}
	x.expectExit(0)
	pid, _ := os.ReadFile(p.path("pids"))
	awaitExit(t, strings.TrimSpace(string(pid)))
}

func initializeLine(revision string) string {
	return `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + revision + `","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
}

// TestMCPRevisions: every revision of the protocol that the SDK supports is negotiated, and serves calls.
func TestMCPRevisions(t *testing.T) {
	t.Parallel()
	const withoutHandshake = "2026-07-28"
	for _, revision := range sdk.SupportedProtocolVersions() {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			x := p.runnel(t, "mcp")
			meta := ""
			if revision >= withoutHandshake {
				meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + revision + `","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}`
				x.writeStdin(`{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{` + meta + `}}` + "\n")
				meta = "," + meta
			} else {
				x.writeStdin(initializeLine(revision))
			}
			if line := x.readLine(); !strings.Contains(line, `"`+revision+`"`) || !strings.Contains(line, `"tools":{}`) {
				t.Errorf("the server answers %s", line)
			}
			x.writeStdin(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_command","arguments":{"command":"echo hello"}` + meta + `}}` + "\n")
			if line := x.readLine(); !strings.Contains(line, `hello\n[exit code 0`) {
				t.Errorf("the server answers %s", line)
			}
			if err := x.in.Close(); err != nil {
				t.Fatal(err)
			}
			x.expectExit(0)
			if text := x.readAll() + x.stderrText(); text != "" {
				t.Errorf("more output: %s", text)
			}
		})
	}
}

// TestMCPMalformed: a message that is not JSON ends `runnel mcp`, with an error on stderr.
func TestMCPMalformed(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	x := p.runnel(t, "mcp")
	x.writeStdin("hello\n")
	x.expectExit(exitFailure)
	x.expectError("message of the host")
	if text := x.readAll(); text != "" {
		t.Errorf("stdout is %q", text)
	}
}

// TestMCPServerRestarts: a server that is restarted is used again.
func TestMCPServerRestarts(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t)
	h := p.mcpHost(t)
	s := h.session("run_command", arguments{"command": "exec sleep 1000", "wait": 0})
	if s.State == "ended" {
		t.Fatalf("%+v", s)
	}
	server.signalUntilExit(syscall.SIGTERM)
	p.serve(t)
	if s := h.session("run_command", arguments{"command": "echo again"}); s.Text != "again\n" {
		t.Errorf("after the restart: %+v", s)
	}
}
