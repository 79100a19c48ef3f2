package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// mcpVersions are the revisions of MCP that are offered over HTTP.
var mcpVersions = []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// mcpEndpoint is /mcp of a server, for the bearer of a token.
type mcpEndpoint struct {
	t          *testing.T
	url, token string
}

// mcpOf returns /mcp of the server with this URL of /ws. token is that of user in the default.
func mcpOf(t *testing.T, url, token string) *mcpEndpoint {
	return &mcpEndpoint{t, "http" + strings.TrimSuffix(strings.TrimPrefix(url, "ws"), "/ws") + "/mcp", token}
}

// serveMCP starts a server with /mcp.
func (p *testDir) serveMCP(t *testing.T, args ...string) (*program, *mcpEndpoint) {
	t.Helper()
	x, ready := p.serve(t, append([]string{"--mcp"}, args...)...)
	token, err := os.ReadFile(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	return x, mcpOf(t, ready.URL, strings.TrimSpace(string(token)))
}

// RoundTrip adds the token to the requests of a host.
func (e *mcpEndpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+e.token)
	return http.DefaultTransport.RoundTrip(r)
}

// host connects a host by a version of MCP.
func (e *mcpEndpoint) host(t *testing.T, version string) *mcpHost {
	t.Helper()
	h := &mcpHost{t: t}
	h.connect(&sdk.StreamableClientTransport{Endpoint: e.url, HTTPClient: &http.Client{Transport: e}, MaxRetries: -1}, version)
	return h
}

// request returns a request with a message.
func (e *mcpEndpoint) request(ctx context.Context, message string, header ...string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(message))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+e.token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// send sends a request and returns the response with its body.
func (e *mcpEndpoint) send(r *http.Request) (*http.Response, string) {
	e.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp, string(body)
}

// post sends a message.
func (e *mcpEndpoint) post(message string, header ...string) (*http.Response, string) {
	e.t.Helper()
	return e.send(e.request(e.t.Context(), message, header...))
}

// initialize returns the id of a new host.
func (e *mcpEndpoint) initialize() string {
	e.t.Helper()
	resp, body := e.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`)
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != 200 || id == "" {
		e.t.Fatalf("initialize: %d, %v, %s", resp.StatusCode, resp.Header, body)
	}
	return id
}

// runCommand returns a call of run_command.
func runCommand(id, command string, more ...string) string {
	text, _ := json.Marshal(command)
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"run_command","arguments":{"command":%s%s}}}`,
		id, text, strings.Join(more, ""))
}

// TestMCPOverHTTP: each tool, by each version.
func TestMCPOverHTTP(t *testing.T) {
	t.Parallel()
	for _, version := range mcpVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			_, e := p.serveMCP(t)
			h := e.host(t, version)
			if got := h.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("the version is %s", got)
			}
			h.callTools(p)
		})
	}
}

// TestMCPProgressOverHTTP: a host that asks for progress gets the newest line.
func TestMCPProgressOverHTTP(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			_, e := p.serveMCP(t)
			e.host(t, version).awaitProgress(p)
		})
	}
}

// TestMCPCanceledOverHTTP: a call of which the host has no result yet is canceled, with its tree, when the
// host says so, and when its connection ends.
func TestMCPCanceledOverHTTP(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, e := p.serveMCP(t)
	id := e.initialize()
	const command = "setsid sleep 1000 & echo $! >>pids; echo $$ >>pids; wait"
	for n, how := range []string{"notification", "escaped id", "end of the connection", "end of the connection, 2026-07-28"} {
		ctx, drop := context.WithCancel(t.Context())
		header := []string{"Mcp-Session-Id", id}
		message := runCommand(`"a/1"`, command, `,"wait":600,"name":"named`, fmt.Sprint(n), `"`)
		if strings.Contains(how, "2026") {
			header = []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "run_command"}
			message = strings.Replace(message, `"arguments"`, `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}},"arguments"`, 1)
		}
		var answered sync.WaitGroup
		answered.Go(func() {
			if resp, err := http.DefaultClient.Do(e.request(ctx, message, header...)); err == nil {
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if n > 1 {
					t.Errorf("%s: %d, %s", how, resp.StatusCode, body)
				}
			}
		})
		awaitLines(t, p.path("pids"), 2*n+2)
		other := e.initialize()
		canceled := func(host, request string) {
			resp, body := e.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+request+`}}`, "Mcp-Session-Id", host)
			if resp.StatusCode != http.StatusAccepted {
				t.Errorf("%s: %d, %s", how, resp.StatusCode, body)
			}
		}
		switch how {
		case "notification":
			canceled(other, `"a/1"`) // another host has another call with that id
			canceled(id, `"a/2"`)
			if status, out := p.output(t, "runnel", "ps", "-q", "--state", "running"); status != 0 || strings.Count(out, "\n") != 1 {
				t.Errorf("%d, sessions: %q", status, out)
			}
			canceled(id, `"a/1"`)
		case "escaped id":
			canceled(id, `"\u0061\/1"`)
		default:
			drop()
		}
		answered.Wait()
		drop()
		pids, err := os.ReadFile(p.path("pids"))
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range strings.Fields(string(pids)) {
			awaitExit(t, pid)
		}
	}
}

// TestMCPSessionsExpire: a session goes on between the requests of a host, until it was not used for
// --mcp-idle. Each tool that names it is a use.
func TestMCPSessionsExpire(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, e := p.serveMCP(t, "--mcp-idle=1h")
	h := e.host(t, "")
	s := h.session("run_command", arguments{"command": "trap : USR1; while :; do sleep 0.1; done", "wait": 0})
	left := func() float64 {
		var st struct {
			LingerLeft float64 `json:"linger_left"`
		}
		_, out := p.output(t, "runnel", "status", "--json", s.SessionID)
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			t.Fatal(err, out)
		}
		return st.LingerLeft
	}
	for _, use := range []struct {
		tool string
		args arguments
	}{
		{"read_output", arguments{"session_id": s.SessionID}},
		{"write_stdin", arguments{"session_id": s.SessionID, "data": "x"}},
		{"send_signal", arguments{"session_id": s.SessionID, "signal": "SIGUSR1"}},
	} {
		before := left()
		if before <= 0 || before > 3600 || !poll(func() bool { return left() < before-0.5 }) {
			t.Fatalf("%v s are left", before)
		}
		now := left()
		h.call(use.tool, use.args, &struct{}{})
		if after := left(); after <= now {
			t.Errorf("%s: %v s are left, %v before", use.tool, after, now)
		}
	}
	named := h.session("run_command", arguments{"command": "sleep 1000", "wait": 0, "name": "named"})
	s = named
	if got := left(); got < 3600 || got > 24*3600 {
		t.Errorf("with a name %v s are left", got)
	}

	p = newTestDir(t)
	_, e = p.serveMCP(t, "--mcp-idle=200ms")
	s = e.host(t, "").session("run_command", arguments{"command": "setsid sleep 1000 & echo $! >pid; wait", "wait": 0})
	out := ""
	expired := func() bool { // a pending wait would be a use
		_, out = p.output(t, "runnel", "status", "--json", s.SessionID)
		return strings.Contains(out, `"reason":"disconnected"`)
	}
	if !poll(expired) {
		t.Errorf("the session is %s", out)
	}
	pid, _ := os.ReadFile(p.path("pid"))
	awaitExit(t, strings.TrimSpace(string(pid)))
}

// TestMCPCallers: a host has the role of its token, and reaches only the sessions of its principal.
func TestMCPCallers(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	alice := p.newToken(t, "alice")
	bob := p.newToken(t, "bob")
	watcher := p.newToken(t, "watcher", "--role=observe")
	p.replace(t, "principals.toml", []byte("[[group]]\nname = \"team\"\nmembers = [\"alice\", \"watcher\"]\n"))
	_, url := p.serveTokens(t, "--principals=principals.toml", "--mcp", "--mcp-tools=run_command,read_output,list_sessions")
	s := mcpOf(t, url, alice).host(t, "").session("run_command", arguments{"command": "echo secret; exec sleep 1000", "wait": 0})
	toolsOf := func(h *mcpHost) string {
		list, err := h.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tool := range list.Tools {
			names = append(names, tool.Name)
		}
		return strings.Join(names, " ")
	}
	if got := toolsOf(mcpOf(t, url, alice).host(t, "")); got != "list_sessions read_output run_command" {
		t.Error("--mcp-tools:", got)
	}
	h := mcpOf(t, url, watcher).host(t, "2025-06-18")
	if got := toolsOf(h); got != "list_sessions read_output" {
		t.Error("observe:", got)
	}
	if s := h.readUntil(mcpSession{SessionID: "alice/" + s.SessionID}, "secret"); s.State != "running" {
		t.Errorf("%+v", s)
	}
	if _, err := h.CallTool(t.Context(), &sdk.CallToolParams{Name: "run_command", Arguments: arguments{"command": "true"}}); err == nil {
		t.Error("observe runs a command")
	}
	other := mcpOf(t, url, bob)
	for _, id := range []string{s.SessionID, "alice/" + s.SessionID} {
		other.host(t, "").fails("read_output", arguments{"session_id": id}, "Session not found")
	}

	id := mcpOf(t, url, alice).initialize()
	for name, header := range map[string]string{"of another principal": id, "unknown": "x", "without a code": "x.", "changed": "x" + id} {
		resp, body := other.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Mcp-Session-Id", header)
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("a host id %s: %d, %s", name, resp.StatusCode, body)
		}
	}
}

// TestMCPRefusals: what is not a request of a host that may be here is refused.
func TestMCPRefusals(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, e := p.serveMCP(t, "--allow-origin=https://agent.example")
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	request := func(method, message string, header ...string) *http.Request {
		r := e.request(t.Context(), message, header...)
		r.Method = method
		return r
	}
	withMeta := func(value string) string {
		return strings.Replace(list, "}", `,"params":{"_meta":{"x":`+value+`}}}`, 1)
	}
	repeated := func(value string) string {
		return "[" + strings.Repeat(value+",", (1<<20-1000)/(len(value)+1)) + "0]"
	}
	const (
		initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
		removed    = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
	)
	other := request("POST", list)
	other.Host = "evil.example"
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		text    string
	}{
		"GET":              {request("GET", ""), 405, "only POST"},
		"DELETE":           {request("DELETE", ""), 405, "only POST"},
		"no token":         {request("POST", list, "Authorization", ""), 401, "a bearer token is needed"},
		"wrong token":      {request("POST", list, "Authorization", "Bearer x"), 401, ""},
		"another origin":   {request("POST", list, "Origin", "https://evil.example"), 403, ""},
		"an origin":        {request("POST", list, "Origin", "https://agent.example"), 200, "run_command"},
		"another host":     {other, 403, ""},
		"no JSON":          {request("POST", "{"), 400, ""},
		"nothing":          {request("POST", ""), 400, ""},
		"not UTF-8":        {request("POST", "\xff\xfe"), 400, ""},
		"too large":        {request("POST", list+strings.Repeat(" ", 1<<20)), 413, "larger than 1048576 bytes"},
		"another type":     {request("POST", list, "Content-Type", "text/plain"), 415, ""},
		"unknown version":  {request("POST", list, "MCP-Protocol-Version", "2020-01-01"), 400, "version"},
		"an unknown tool":  {request("POST", strings.Replace(runCommand("1", "true"), "run_command", "rm", 1)), 200, `unknown tool`},
		"unknown argument": {request("POST", runCommand("1", "true", `,"shell":1`)), 200, "shell is an unknown field"},
		"a deep message":   {request("POST", strings.Repeat("[", 100_000)), 400, "deeper than 32 levels"},
		"deep values":      {request("POST", withMeta(repeated(strings.Repeat("[", 900)+strings.Repeat("]", 900)))), 400, "deeper than 32 levels"},
		"many values":      {request("POST", withMeta(repeated("[]"))), 400, "more than 10000 values"},
		"a large batch":    {request("POST", "["+list+strings.Repeat(","+list, 16)+"]"), 400, "more than 16 messages"},
		"two hosts":        {request("POST", "["+initialize+","+initialize+"]"), 200, "run_command"},
		"an unknown host":  {request("POST", list, "Mcp-Session-Id", "x"), 404, "session not found"},
		"… of 2026-07-28":  {request("POST", strings.Replace(removed, "ping", "tools/list", 1), "Mcp-Session-Id", "x", "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list"), 200, "run_command"},
		"a removed method": {request("POST", removed, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "ping"), 404, "method not found"},
		"a batch":          {request("POST", "["+runCommand("1", "echo one")+","+runCommand("2", "echo two")+"]"), 200, "two"},
	} {
		resp, body := e.send(c.request)
		if resp.StatusCode != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%s: %d, %.300s", name, resp.StatusCode, body)
		}
	}
	if log := server.stderrText(); strings.Contains(log, "duplicate") || strings.Contains(log, "removed") {
		t.Errorf("a host can fill the log: %s", log)
	}
	_, ready := newTestDir(t).serve(t)
	if resp, _ := mcpOf(t, ready.URL, e.token).post(list); resp.StatusCode != 404 {
		t.Errorf("without --mcp: %d", resp.StatusCode)
	}
}

// TestMCPMetadata: a host without a token learns where to get a JWT.
func TestMCPMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags     []string
		resource  string // its URL, without which it is that of the request
		challenge string
	}{
		{nil, "", ""},
		{[]string{"--mcp-url=https://agents.example/mcp"}, "https://agents.example/mcp", "https://agents.example/.well-known/oauth-protected-resource/mcp"},
		{[]string{"--mcp-url=https://agents.example/a%20b/tools"}, "https://agents.example/a%20b/tools", "https://agents.example/.well-known/oauth-protected-resource/a%20b/tools"},
		{[]string{"--mcp-url=https://agents.example"}, "https://agents.example", "https://agents.example/.well-known/oauth-protected-resource"},
	} {
		p := newTestDir(t)
		key, _ := p.writeIssuer(t, aliceIsMapped)
		_, ready := p.serve(t, append(append([]string{"--mcp"}, jwtFlagsOfTests...), c.flags...)...)
		e := mcpOf(t, ready.URL, "none")
		metadata := strings.Replace(e.url, "/mcp", "/.well-known/oauth-protected-resource/mcp", 1)
		resource, challenge := c.resource, c.challenge
		if resource == "" {
			resource, challenge = e.url, metadata
		}
		resp, _ := e.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || got != fmt.Sprintf("Bearer resource_metadata=%q", challenge) {
			t.Errorf("%d, %s", resp.StatusCode, got)
		}
		// A proxy passes the path on as it is, or as /mcp.
		for _, url := range []string{metadata, strings.Replace(challenge, "https://agents.example", strings.TrimSuffix(e.url, "/mcp"), 1)} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, body := e.send(r)
			var got struct {
				Resource string   `json:"resource"`
				Servers  []string `json:"authorization_servers"`
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Resource != resource || fmt.Sprint(got.Servers) != "[https://issuer.example]" {
				t.Errorf("%s: %d, %v, %s", url, resp.StatusCode, err, body)
			}
		}
		if u := upgrade(t, ready.URL, "none"); u.header.Get("WWW-Authenticate") != "Bearer" {
			t.Error("/ws:", u.header)
		}
		e.token, _ = signedJWTs(t, key, key)
		if resp, body := e.post(runCommand("1", "echo $((6*7))")); !strings.Contains(body, "42") {
			t.Errorf("with a JWT: %d, %s", resp.StatusCode, body)
		}
	}
	_, e := newTestDir(t).serveMCP(t)
	r := e.request(t.Context(), "")
	r.Method, r.URL.Path = "GET", "/.well-known/oauth-protected-resource/mcp"
	if resp, _ := e.send(r); resp.StatusCode != 404 {
		t.Errorf("metadata without JWTs: %d", resp.StatusCode)
	}
}

// TestMCPCallsKeepTheirConnections: connections that send nothing do not displace a call, and calls count
// as connections.
func TestMCPCallsKeepTheirConnections(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, e := p.serveMCP(t, "--max-connections=2")
	var calls sync.WaitGroup
	bodies := make([]string, 2)
	for i := range bodies {
		calls.Go(func() {
			_, bodies[i] = e.post(runCommand("1", "echo ready >>begun; until [ -e seen ]; do sleep 0.1; done; echo done", `,"wait":600`))
		})
	}
	awaitLines(t, p.path("begun"), 2)
	if resp, body := e.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more call: %d, %s", resp.StatusCode, body)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(e.url, "http://"), "/mcp")
	for range 300 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := os.WriteFile(p.path("seen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
	for _, body := range bodies {
		if !strings.Contains(body, `"text":"done\n"`) {
			t.Errorf("the result is %q", body)
		}
	}
	if resp, body := e.post(runCommand("1", "echo next")); !strings.Contains(body, "next") {
		t.Errorf("after the calls: %d, %s", resp.StatusCode, body)
	}
}

// TestMCPShutdown: a call in progress has a result when the server shuts down.
func TestMCPShutdown(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, e := p.serveMCP(t, "--drain=0s")
	var body string
	var call sync.WaitGroup
	call.Go(func() { _, body = e.post(runCommand("1", "echo ready >>begun; exec sleep 1000", `,"wait":600`)) })
	awaitLines(t, p.path("begun"), 1)
	server.signal(syscall.SIGTERM)
	call.Wait()
	server.expectExit(0)
	// The connection to /ws may be closed between two requests of the call.
	if !strings.Contains(body, `"reason":"shutdown"`) && !strings.Contains(body, "the connection to the Runnel server was lost") {
		t.Errorf("the result is %q", body)
	}
}

// TestMCPSilentHost: a host that does not read its response does not keep the server from others.
func TestMCPSilentHost(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	_, e := p.serveMCP(t)
	var b bytes.Buffer
	for range 64 { // their results fill the buffers of the kernel
		r := e.request(t.Context(), "["+runCommand("1", "head -c 30000 /dev/zero | tr '\\0' '\\1'")+strings.Repeat(","+runCommand("2", "head -c 30000 /dev/zero | tr '\\0' '\\1'"), 3)+"]")
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
	}
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(e.url, "http://"), "/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = c.Write(b.Bytes()) })
	for range 5 {
		if _, body := e.post(runCommand("1", "echo $((6*7))")); !strings.Contains(body, "42") {
			t.Error(body)
		}
	}
	_ = c.Close()
	writing.Wait()
}
