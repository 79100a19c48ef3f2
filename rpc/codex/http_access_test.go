//go:build linux

package codex_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// restricting makes a server restrict executes by f.
func restricting(f func(p *rpc.ExecuteParams, spec *session.Spec) error) func(*settings) {
	return func(set *settings) {
		withHTTP(set)
		set.Server.Restrict = func(_ access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error { return f(p, spec) }
	}
}

// TestHTTPNeedsTheRightToRunAnyCommand checks that a policy that permits only some programs, or another user,
// permits no request.
func TestHTTPNeedsTheRightToRunAnyCommand(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	s := site(t, func(http.ResponseWriter, *http.Request) { sent.Add(1) })
	for name, set := range map[string]func(*settings){
		"method": func(set *settings) { withHTTP(set); permitting(rpc.MethodRead)(set) },
		"shell": restricting(func(p *rpc.ExecuteParams, _ *session.Spec) error {
			if p.Command.Shell != "" {
				return rpc.Forbidden("shell", "command")
			}
			return nil
		}),
		"user": restricting(func(_ *rpc.ExecuteParams, spec *session.Spec) error {
			spec.Program.User = &process.User{UID: uint32(os.Geteuid() + 1)}
			return nil
		}),
		"no directory": restricting(func(_ *rpc.ExecuteParams, spec *session.Spec) error {
			spec.Directories = []string{}
			return rpc.Forbidden("directories", "cwd")
		}),
	} {
		if text := serve(t, set).client().refused("http/request", get(s.URL), -32600); !strings.Contains(text, "Forbidden") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if sent.Load() > 0 {
		t.Error("a request was sent")
	}
	for _, set := range []func(*settings){
		restricting(func(p *rpc.ExecuteParams, spec *session.Spec) error { // a command may be started there
			if spec.Directories = []string{"/tmp"}; string(p.Cwd) != "/tmp" {
				return rpc.Forbidden("directories", "cwd")
			}
			return nil
		}),
		restricting(func(_ *rpc.ExecuteParams, spec *session.Spec) error {
			spec.Program.User = &process.User{UID: uint32(os.Geteuid())}
			return nil
		}),
	} {
		serve(t, set).client().mustCall("http/request", get(s.URL), nil)
	}
}

// TestHTTPInRequiredSandbox checks that a sandbox that the server requires for commands applies to requests.
func TestHTTPInRequiredSandbox(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	elsewhere := site(t, func(http.ResponseWriter, *http.Request) { sent.Add(1) })
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}
	})
	listed, err := sandbox.ParseDestination(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	profiles := sandbox.NewProfiles(nil, map[string]sandbox.Partial{
		"none": {Network: sandbox.Network{Mode: sandbox.NoNetwork}, FilesDefault: sandbox.Read},
		"some": {Network: sandbox.Network{Mode: sandbox.AllowList, Allow: []sandbox.Destination{listed}}, FilesDefault: sandbox.Read},
		"full": {Network: sandbox.Network{Mode: sandbox.FullNetwork}, FilesDefault: sandbox.Read},
	})
	for profile, permitted := range map[string][2]bool{"none": {false, false}, "some": {true, false}, "full": {true, true}} {
		floor, _ := profiles.Floor(profile, sandbox.Place{Dir: "/", Home: "/"})
		if _, err := host.EnforceSandbox(floor); err != nil {
			needsSandbox(t)
			t.Fatal(err)
		}
		sent.Store(0)
		c := serve(t, withHTTP, func(set *settings) {
			set.Server.Sandboxes.Default, set.Server.Sandboxes.Profiles = profile, func() *sandbox.Profiles { return profiles }
		}).client()
		for _, request := range []struct {
			url       string
			permitted bool
		}{{s.URL, permitted[0]}, {elsewhere.URL, permitted[1]}, {s.URL + "/away", permitted[1]}} {
			if m := c.call("http/request", get(request.url)); (m.Error == nil) != request.permitted || m.Error != nil && m.Error.Code != -32600 {
				t.Errorf("%s: %s: %+v", profile, request.url, m.Error)
			}
		}
		if n := sent.Load(); (n > 0) != permitted[1] {
			t.Errorf("%s: %d requests elsewhere", profile, n)
		}
	}
}

// TestHTTPNotEnforceable checks that no request is made where a required sandbox cannot be enforced.
func TestHTTPNotEnforceable(t *testing.T) {
	t.Parallel()
	bare, err := process.Open(process.Options{Containment: "group", Bubblewrap: "/does/not/exist"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bare.Close() })
	profiles := sandbox.NewProfiles(nil, map[string]sandbox.Partial{
		"own": {Network: sandbox.Network{Mode: sandbox.FullNetwork}, Processes: sandbox.Own, FilesDefault: sandbox.Read},
	})
	floor, _ := profiles.Floor("own", sandbox.Place{Dir: "/", Home: "/"})
	if _, err := bare.EnforceSandbox(floor); err == nil {
		t.Skip("the machine enforces it without bubblewrap")
	}
	c := serve(t, withHTTP, func(set *settings) {
		set.Session.Host = bare
		set.Server.Sandboxes.Default, set.Server.Sandboxes.Profiles = "own", func() *sandbox.Profiles { return profiles }
	}).client()
	c.refused("http/request", get("http://127.0.0.1:1/"), -32602)
}

// TestAuditOfHTTP checks that the audit log has each request without its secrets, those of redirects and those
// that were refused or have failed.
func TestAuditOfHTTP(t *testing.T) {
	t.Parallel()
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			http.Redirect(w, r, "/second?secret", http.StatusFound)
		}
	})
	log, path := openAudit(t)
	var refuse atomic.Bool
	service := serve(t, restricting(func(*rpc.ExecuteParams, *session.Spec) error {
		if refuse.Load() {
			return rpc.Forbidden("shell", "command")
		}
		return nil
	}), func(set *settings) { set.Server.Audit = log })
	c := service.client()
	address := strings.Replace(s.URL, "http://", "http://user:secret@", 1)
	c.mustCall("http/request", with(get(address+"/first?secret#secret"), "method", "PUT", "bodyBase64", "c2VjcmV0", "headers", []any{header("X-Key", "secret")}), nil)
	c.refused("http/request", get("http://user:secret@[::FFFF:127.0.0.1]:1/?secret"), -32603)
	refuse.Store(true)
	c.refused("http/request", get(address+"/first?secret"), -32600)
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	want := []string{"PUT 127.0.0.1:" + port + " 302 ", "GET 127.0.0.1:" + port + " 200 ", "GET 127.0.0.1:1 0 http_failed", "GET 127.0.0.1:" + port + " 0 forbidden"}
	eventually(t, "the audit log has all lines", func() bool { return len(auditedHTTP(t, path)) >= len(want) })
	if got := auditedHTTP(t, path); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	if text, _ := os.ReadFile(path); strings.Contains(string(text), "secret") || strings.Contains(string(text), "c2VjcmV0") {
		t.Errorf("the log has a secret:\n%s", text)
	}
}

// auditedHTTP returns the HTTP requests in an audit log.
func auditedHTTP(t *testing.T, path string) (all []string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e struct {
			Event, Method, Host string
			Port, Status        json.Number
			Error               struct{ Kind string }
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Event == "http" {
			all = append(all, e.Method+" "+e.Host+":"+e.Port.String()+" "+orZero(e.Status)+" "+e.Error.Kind)
		}
	}
	return all
}

func orZero(n json.Number) string {
	if n == "" {
		return "0"
	}
	return n.String()
}

// TestHTTPWithoutAudit checks that no request is made while a required audit log cannot be written.
func TestHTTPWithoutAudit(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	s := site(t, func(http.ResponseWriter, *http.Request) { sent.Add(1) })
	c := serve(t, withHTTP, brokenAudit(t)).client()
	if c.call("process/start", command("p", "true")).Error == nil {
		t.Fatal("a command was started")
	}
	if text := c.refused("http/request", get(s.URL), -32603); !strings.Contains(text, "audit") || sent.Load() > 0 {
		t.Error(text, sent.Load())
	}
}

// redirecting starts an HTTP server that answers /first with a redirect to /second after the function that it returns
// was called, and counts the requests for /second.
func redirecting(t *testing.T) (url string, arrived <-chan struct{}, answer func(), second *atomic.Int64) {
	asked, answered := make(chan struct{}, 1), make(chan struct{})
	second = new(atomic.Int64)
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			second.Add(1)
			return
		}
		asked <- struct{}{}
		<-answered
		http.Redirect(w, r, "/second", http.StatusFound)
	})
	answer = sync.OnceFunc(func() { close(answered) })
	t.Cleanup(answer)
	return s.URL + "/first", asked, answer, second
}

// TestHTTPRedirectAfterTheRightHasEnded checks that a redirect is followed only if the caller may still make requests.
func TestHTTPRedirectAfterTheRightHasEnded(t *testing.T) {
	t.Parallel()
	url, arrived, answer, second := redirecting(t)
	var refuse atomic.Bool
	c := serve(t, restricting(func(*rpc.ExecuteParams, *session.Spec) error {
		if refuse.Load() {
			return rpc.Forbidden("shell", "command")
		}
		return nil
	})).client()
	id := c.request("http/request", get(url))
	<-arrived
	refuse.Store(true)
	answer()
	if m := c.answer(id); m.Error == nil || m.Error.Code != -32600 || !strings.Contains(m.Error.Message, "Forbidden") || second.Load() > 0 {
		t.Errorf("%s %+v, %d requests", m.Result, m.Error, second.Load())
	}
}

// TestHTTPRedirectAfterRevocation checks that nothing is sent any more for a credential that was revoked, although the
// client does not answer the close frame.
func TestHTTPRedirectAfterRevocation(t *testing.T) {
	t.Parallel()
	url, arrived, answer, second := redirecting(t)
	service := serve(t, withHTTP)
	c := service.client()
	c.request("http/request", get(url))
	<-arrived
	service.callers.revoke("user")
	service.server.Reauthenticate()
	answer()
	_, _ = io.Copy(io.Discard, c.tcp) // until the server closes it, after closeTimeout
	if n := second.Load(); n > 0 {
		t.Errorf("%d requests after the revocation", n)
	}
}

// TestAuditOfHTTPThatFails checks that each host is named to which a request was sent, also if its servers do not answer
// one after the other.
func TestAuditOfHTTPThatFails(t *testing.T) {
	t.Parallel()
	log, path := openAudit(t)
	c := serve(t, withHTTP, func(set *settings) { set.Server.Audit = log }).client()
	var want []string
	for range 3 {
		s := site(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		c.refused("http/request", with(get(s.URL), "method", "POST", "bodyBase64", "c2VjcmV0"), -32603)
		want = append(want, "POST "+strings.TrimPrefix(s.URL, "http://")+" 0 http_failed")
	}
	c.drop()
	eventually(t, "the audit log has the end of the connection", func() bool {
		text, _ := os.ReadFile(path)
		return strings.Contains(string(text), `"action":"close"`)
	})
	if got := auditedHTTP(t, path); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
}
