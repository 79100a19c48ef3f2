package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// newToken adds a token to the tokens file of the directory, and returns it.
func (p *testDir) newToken(t *testing.T, name string, args ...string) string {
	t.Helper()
	x := p.runnel(t, append([]string{"token", "new", name, "--tokens=tokens.toml"}, args...)...)
	token := x.readLine()
	x.expectExit(0)
	return token
}

// upgraded is the response to a request for an upgrade, and the connection if it was accepted.
type upgraded struct {
	*websocket.Conn
	status int
	header http.Header
	body   string
}

// upgrade requests a WebSocket with a token.
func upgrade(t *testing.T, url, token string) upgraded {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	o := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if token != "" {
		o.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	ws, r, err := websocket.Dial(ctx, url, o)
	if r == nil {
		t.Fatal(err)
	}
	u := upgraded{Conn: ws, status: r.StatusCode, header: r.Header}
	if ws != nil {
		t.Cleanup(func() { _ = ws.CloseNow() })
		return u
	}
	body, _ := io.ReadAll(r.Body)
	u.header.Del("Date")
	u.body = string(body)
	return u
}

// expectReply expects the connection to be open.
func (u upgraded) expectReply(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	err := u.Write(ctx, websocket.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"pong"}`))
	for err == nil {
		var text []byte
		if _, text, err = u.Read(ctx); strings.Contains(string(text), `"id":1`) {
			return
		}
	}
	t.Error("the connection of another token:", err)
}

// closedWith returns the close code of a connection, which has to end.
func (u upgraded) closedWith(t *testing.T) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	for {
		if _, _, err := u.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// serveTokens starts a server with the tokens file of the directory.
func (p *testDir) serveTokens(t *testing.T, args ...string) (*program, string) {
	t.Helper()
	x, ready := p.serve(t, append([]string{"--tokens=tokens.toml", "--shared-user", "--log-format=json"}, args...)...)
	if ready.TokenFile != "" {
		t.Errorf("the token of user is accepted, too: %+v", ready)
	}
	return x, ready.URL
}

// TestCredentialsAreIndistinguishable: a caller cannot find out whether a token was never valid, has
// expired, or was revoked. The log says it.
func TestCredentialsAreIndistinguishable(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	good := p.newToken(t, "alice")
	expired := p.newToken(t, "bob", "--expires=1s")
	revoked := p.newToken(t, "carol")
	p.runnel(t, "token", "revoke", "carol", "--tokens=tokens.toml").expectExit(0)
	time.Sleep(time.Second) // until the token has expired, which is what is tested
	server, url := p.serveTokens(t)
	if u := upgrade(t, url, good); u.status != 101 {
		t.Fatal(u)
	}
	missing := upgrade(t, url, "")
	if missing.status != 401 || missing.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%+v", missing)
	}
	for name, token := range map[string]string{"wrong": "wrong", "expired": expired, "revoked": revoked, "almost": good[:len(good)-1], "longer": good + "x"} {
		if u := upgrade(t, url, token); u.status != missing.status || u.body != missing.body || fmt.Sprint(u.header) != fmt.Sprint(missing.header) {
			t.Errorf("%s: %+v, want %+v", name, u, missing)
		}
	}
	server.awaitStderr("the token has expired")
	for _, token := range []string{good, expired, revoked} {
		if strings.Contains(server.stderrText(), token) {
			t.Error("a token is in the log")
		}
	}
}

// TestRevocation: a token that is removed from the file, by any way of writing it, is refused, and
// its connections are closed. Others stay. An invalid file changes nothing.
func TestRevocation(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	alice, bob := p.newToken(t, "alice"), p.newToken(t, "bob")
	server, url := p.serveTokens(t)
	a, b := upgrade(t, url, alice), upgrade(t, url, bob)
	if a.status != 101 || b.status != 101 {
		t.Fatal(a, b)
	}
	p.runnel(t, "token", "revoke", "alice", "--tokens=tokens.toml").expectExit(0)
	if code := a.closedWith(t); code != 4401 {
		t.Errorf("the connection was closed with %d", code)
	}
	if u := upgrade(t, url, alice); u.status != 401 {
		t.Error(u)
	}
	b.expectReply(t)
	if err := os.WriteFile(p.path("tokens.toml"), []byte("[[token]]\nname = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.awaitStderr("configuration not reloaded")
	server.awaitStderr("tokens.toml:2: token.name")
	if u := upgrade(t, url, bob); u.status != 101 {
		t.Error("after an invalid file:", u)
	}
	if err := os.WriteFile(p.path("tokens.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return upgrade(t, url, bob).status == 401 }) {
		t.Error("the file was not read again")
	}
}

// TestOnRevoke: the sessions of a revoked token continue, or are ended.
func TestOnRevoke(t *testing.T) {
	for _, end := range []bool{false, true} {
		t.Run(fmt.Sprintf("end=%v", end), func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			for name, file := range map[string]string{"alice": "alice", "bob": "bob"} {
				if err := os.WriteFile(p.path(file), []byte(p.newToken(t, name)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var args []string
			if end {
				args = []string{"--on-revoke=end"}
			}
			_, url := p.serveTokens(t, args...)
			var pids []string
			for _, name := range []string{"alice", "bob"} {
				file := p.path(name + ".pid")
				p.runnel(t, "run", "--url="+url, "--token-file="+name, "--detach", "--", "sh", "-c", "echo $$ >"+file+".new; mv "+file+".new "+file+"; exec sleep 1000").expectExit(0)
				poll(func() bool { _, err := os.Stat(file); return err == nil })
				pid, _ := os.ReadFile(file)
				pids = append(pids, strings.TrimSpace(string(pid)))
			}
			p.runnel(t, "token", "revoke", "alice", "--tokens=tokens.toml").expectExit(0)
			if end {
				awaitExit(t, pids[0])
			} else {
				alice, _ := os.ReadFile(p.path("alice"))
				poll(func() bool { return upgrade(t, url, string(alice)).status == 401 })
				expectAlive(t, pids[0])
			}
			expectAlive(t, pids[1])
		})
	}
}

// awaitReady waits for the ready file of a server, which is called ready.
func (x *program) awaitReady() (r readyFile) {
	x.t.Helper()
	if !poll(func() bool { // the file may be that of a killed server
		r, _ = readReady(filepath.Join(x.Dir, "ready"))
		return r.PID == x.Process.Pid
	}) {
		x.t.Fatal("not ready:", x.stderrText())
	}
	return r
}

func expectAlive(t *testing.T, pid string) {
	t.Helper()
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Errorf("process %s has ended", pid)
	}
}

// TestHangupStorm: SIGHUP to a server without a controlling terminal makes it read its files, any
// number of times, and loses no connection and no session.
func TestHangupStorm(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	if err := os.WriteFile(p.path("alice"), []byte(p.newToken(t, "alice")), 0o600); err != nil {
		t.Fatal(err)
	}
	server := p.prepare(t, "runnel", "serve", "--listen=127.0.0.1:0", "--ready-file=ready", "--tokens=tokens.toml", "--shared-user")
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no controlling terminal
	server.startPrepared()
	t.Cleanup(func() { server.signalUntilExit(syscall.SIGTERM) })
	ready := server.awaitReady()
	x := p.runnel(t, "run", "--url="+ready.URL, "--token-file=alice", "--", "sh", "-c", readsLine)
	x.expectLine("ready")
	for i := range 300 {
		server.signal(syscall.SIGHUP)
		if i%30 == 0 {
			p.newToken(t, "other")
			y := p.runnel(t, "run", "--url="+ready.URL, "--token-file=alice", "--", "echo", "ok")
			y.expectLine("ok")
			y.expectExit(0)
		}
	}
	server.awaitStderr("configuration reloaded")
	_, _ = x.in.Write([]byte("\n"))
	x.expectExit(3)
}
