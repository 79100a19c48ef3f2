//go:build linux

package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
)

// TestZeroOptions: a server without options has the documented defaults.
func TestZeroOptions(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Server = server.Options{}
		set.Session = session.Options{MaxSessions: 7, MaxRetained: 8, ReplayBytes: 1 << 16, ReplayTotal: 1 << 20}
	})
	p := s.dial(t)
	got := p.hello.Limits
	for name, pair := range map[string][2]any{
		"max_connections":   {got.MaxConnections, 100},
		"max_in_flight":     {got.MaxInFlight, 1024},
		"max_message_bytes": {got.MaxMessageBytes, int64(1 << 20)},
		"ping_interval":     {got.PingInterval, 20.0},
		"write_timeout":     {got.WriteTimeout, 30.0},
		"max_sessions":      {got.MaxSessions, 7},
		"max_retained":      {got.MaxRetained, 8},
		"replay_bytes":      {got.ReplayBytes, int64(1 << 16)},
		"replay_total":      {got.ReplayTotal, int64(1 << 20)},
		"min_nice":          {got.MinNice, process.MinNice()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
	if x := p.run(object{"command": `printenv PATH`}); strings.TrimSpace(x.stdout()) != os.Getenv("PATH") {
		t.Errorf("%q, %+v", x.stdout(), x.record)
	}
}

// TestEmptyEnvironment: with an Environ that is empty and not nil, commands do not get the
// environment of the server.
func TestEmptyEnvironment(t *testing.T) {
	s := serve(t, func(set *settings) { set.Server.Defaults.Environ = []string{} })
	p := s.dial(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if x := p.run(object{"command": []string{"/usr/bin/env"}}); x.stdout() != "PWD="+dir+"\n" {
		t.Errorf("%q, %+v", x.stdout(), x.record)
	}
}

// byHeader takes the principal from a header.
type byHeader struct{}

func (byHeader) Authenticate(r *http.Request) (access.Identity, error) {
	switch name := r.Header.Get("X-User"); name {
	case "":
		return access.Identity{}, &access.Refusal{Status: http.StatusTeapot, Reason: "no name"}
	case "broken":
		return access.Identity{}, errors.New("the directory is down")
	default:
		return access.Identity{Principal: name}, nil
	}
}

func (byHeader) AuthenticateToken(string, access.Peer) (access.Identity, error) {
	return access.Identity{}, &access.Refusal{Status: http.StatusTeapot, Reason: "no token"}
}

func (byHeader) Accepts(access.Identity) bool { return true }

// TestAuthenticator: a principal finds only its own sessions, and the refusals of an authenticator
// are answered with its status, also on additional routes.
func TestAuthenticator(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Server.Auth = byHeader{}
		set.Server.Routes = map[string]http.Handler{"GET /whoami": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, server.Identity(r.Context()).Principal)
		})}
	})
	as := func(name string) *peer {
		t.Helper()
		p, err := s.tryDial(t, dialing{path: "/ws", header: http.Header{"X-User": {name}}})
		if err != nil {
			t.Fatal(err)
		}
		p.notification("connected")
		return p
	}
	ann, bob := as("ann"), as("bob")
	id := ann.start(sleeper)
	bob.fails(-32002, "cancel", object{"session_id": id})
	ann.ok("cancel", object{"session_id": id}, nil)
	for name, status := range map[string]int{"": http.StatusTeapot, "broken": http.StatusInternalServerError} {
		if p, err := s.tryDial(t, dialing{path: "/ws", header: http.Header{"X-User": {name}}}); err == nil || p.resp.StatusCode != status {
			t.Errorf("as %q: %v, %v", name, p.resp, err)
		}
	}
	if text := s.log.take(); strings.Count(text, "the directory is down") != 1 {
		t.Errorf("logged: %s", text)
	}
	if status, _ := s.get(t, "/whoami"); status != http.StatusTeapot {
		t.Errorf("a route without a principal: %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.httpURL("/whoami"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User", "ann")
	resp, err := s.httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "ann" || err != nil {
		t.Errorf("the principal is %q, %v", body, err)
	}
}

// TestAuthorize: an execute that is refused takes no slot, and is answered with the error.
func TestAuthorize(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Session.MaxSessions = 1
		set.Server.Authorize = func(caller access.Identity, method string, params any) error {
			p, ok := params.(*rpc.ExecuteParams)
			if caller.Principal != access.User || method == "execute" != ok {
				t.Errorf("%v, %s, %T", caller, method, params)
			}
			if ok && p.Command.Shell != "" {
				return rpc.Forbidden("no-shell", "command")
			}
			return nil
		}
	})
	p := s.dial(t)
	for range 3 {
		m := p.reply(p.request("execute", object{"command": "true"})) // the method has no such error by itself
		if e := p.bad(rpc.CodeForbidden, m); e.Data["rule"] != "no-shell" {
			t.Errorf("%+v", e)
		}
	}
	p.ok("execute", object{"command": []string{"true"}}, nil)
	p.ok("list", nil, nil)
}

// library is a connection of the JSON-RPC library to a server.
type library struct {
	ws            *websocket.Conn
	notifications chan string // methods
}

func (l *library) ReadObject(v any) error  { return wsjson.Read(context.Background(), l.ws, v) }
func (l *library) WriteObject(v any) error { return wsjson.Write(context.Background(), l.ws, v) }
func (l *library) Close() error            { return l.ws.Close(websocket.StatusNormalClosure, "") }

func (l *library) Handle(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) {
	l.notifications <- r.Method
}

// dialLibrary connects a jsonrpc2.Conn.
func (s *service) dialLibrary(t *testing.T) (*jsonrpc2.Conn, *library) {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), s.url(), &websocket.DialOptions{HTTPClient: s.httpClient()})
	if err != nil {
		t.Fatal(err)
	}
	l := &library{ws, make(chan string, 1000)}
	c := jsonrpc2.NewConn(context.Background(), l, l)
	t.Cleanup(func() { _ = c.Close() })
	return c, l
}

// TestLibraryAsClient: the JSON-RPC library, which the server does not use to read and write,
// understands the server's replies, errors and notifications.
func TestLibraryAsClient(t *testing.T) {
	s := serve(t)
	c, l := s.dialLibrary(t)
	var got rpc.Captured
	err := c.Call(t.Context(), "execute", object{"command": "echo hi", "wait": true, "stream": true}, &got)
	if err != nil || deref(got.Stdout) != "hi\n" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, want := range []string{"connected", "process.started", "process.output", "process.completed"} {
		if method := <-l.notifications; method != want {
			t.Errorf("notification %s, want %s", method, want)
		}
	}
	err = c.Call(t.Context(), "status", object{"session_id": "X"}, nil, jsonrpc2.PickID(jsonrpc2.ID{Str: "a\n", IsString: true}))
	var e *jsonrpc2.Error
	if !errors.As(err, &e) || e.Code != jsonrpc2.CodeInvalidParams || !strings.Contains(string(*e.Data), `"field":"session_id"`) {
		t.Errorf("%v", err)
	}
}

// TestRoute: requests that are routed to another server run there, in their order, and are answered
// with its results and errors. Only they are.
func TestRoute(t *testing.T) {
	there := serve(t)
	c, l := there.dialLibrary(t)
	<-l.notifications // connected: the goroutines of the connection exist when serve counts them
	s := serve(t, func(set *settings) {
		set.Server.Route = func(ctx context.Context, principal string, r *jsonrpc2.Request) func(context.Context) (json.RawMessage, error) {
			if r.Method == "list" || principal != "user" {
				return nil
			}
			call, err := c.DispatchCall(ctx, r.Method, r.Params)
			return func(ctx context.Context) (result json.RawMessage, _ error) {
				if err != nil {
					return nil, err
				}
				err := call.Wait(ctx, &result)
				return result, err
			}
		}
	})
	p := s.dial(t)
	var r rpc.ExecuteResult
	p.ok("execute", object{"command": "cat", "stdin": "pipe"}, &r)
	if there.registry.Running() != 1 || s.registry.Running() != 0 {
		t.Errorf("%d sessions run there, %d here", there.registry.Running(), s.registry.Running())
	}
	var ids []string
	for _, data := range []string{"a", "b", "c", "d"} {
		ids = append(ids, p.request("write", object{"session_id": r.SessionID, "data": data, "eof": data == "d"}))
	}
	for i, id := range ids {
		var w rpc.WriteResult
		if p.decode(p.good(p.reply(id)).Result, &w); w.StdinBytes != int64(i+1) {
			t.Errorf("write %d: %+v", i, w)
		}
	}
	var captured rpc.Captured
	if p.ok("wait", object{"session_id": r.SessionID, "capture_bytes": 10}, &captured); *captured.Stdout != "abcd" {
		t.Errorf("%+v", captured)
	}
	if e := p.fails(-32602, "status", object{"session_id": "X"}); e.Data["field"] != "session_id" {
		t.Errorf("%+v", e)
	}
	var list rpc.ListResult
	if p.ok("list", nil, &list); len(list.Sessions) != 0 {
		t.Errorf("%+v", list)
	}
	waits := p.request("wait", object{"session_id": r.SessionID})
	p.good(p.reply(waits))
}

// TestRestrict: a spec can be changed before the start, and an execute that is refused takes no
// slot.
func TestRestrict(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Session.MaxSessions = 1
		set.Server.Restrict = func(id access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
			if id.Principal != access.User || spec.Owner != access.User {
				t.Errorf("%v executes for %q", id, spec.Owner)
			}
			if p.Cwd != "" {
				return rpc.Forbidden("directories", "cwd")
			}
			spec.Program.Env = []string{"ONLY=this"}
			return nil
		}
	})
	p := s.dial(t)
	for range 2 {
		e := p.fails(rpc.CodeForbidden, "execute", object{"command": "true", "cwd": "/"})
		if e.Data["kind"] != "forbidden" || e.Data["rule"] != "directories" || e.Data["field"] != "cwd" {
			t.Errorf("%+v", e)
		}
	}
	if x := p.run(object{"command": []string{"/usr/bin/env"}}); x.stdout() != "ONLY=this\n" {
		t.Errorf("%q, %+v", x.stdout(), x.record)
	}
}
