//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// upgradeRequest returns a request for a WebSocket with these headers, followed at once by a frame
// that executes a command, which creates a file.
func upgradeRequest(file string, headers ...string) string {
	execute := fmt.Sprintf(`{"jsonrpc":"2.0","method":"execute","params":{"command":["touch","%s"]}}%200s`, file, "")
	lines := append([]string{
		"GET /ws HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
	}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + string(rawFrame(0x81, len(execute), execute))
}

// statusOf sends a request and returns the status of the response. The connection stays open until
// the end of the test.
func statusOf(t *testing.T, c net.Conn, request string) int {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestRefusedConnectionsHaveNoEffect: a frame that follows a request for a WebSocket is not read if
// the request is refused.
func TestRefusedConnectionsHaveNoEffect(t *testing.T) {
	p := newTestDir(t)
	_, ready := p.serve(t, "--allow-origin=https://app.example")
	token, err := readToken(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	host, right := "Host: "+hostOf(ready.URL), "Authorization: Bearer "+token
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"no token":            {[]string{host}, 401},
		"a wrong token":       {[]string{host, "Authorization: Bearer " + strings.Repeat("0", len(token))}, 401},
		"a part of the token": {[]string{host, right[:len(right)-1]}, 401},
		"another origin":      {[]string{host, right, "Origin: https://evil.example"}, 403},
		"a rebound name":      {[]string{"Host: rebound.example", right, "Origin: https://app.example"}, 403},
		"no host":             {[]string{"Host: ", right}, 403},
		"accepted":            {[]string{host, right, "Origin: https://app.example"}, 101},
	} {
		conn, err := net.Dial("tcp", hostOf(ready.URL))
		if err != nil {
			t.Fatal(err)
		}
		file := "refused"
		if c.status == 101 {
			file = "accepted"
		}
		if got := statusOf(t, conn, upgradeRequest(p.path(file), c.headers...)); got != c.status {
			t.Errorf("%s: status %d, want %d", name, got, c.status)
		}
	}
	if os.Geteuid() == 0 {
		refuseAnotherUser(t, p)
	}
	p.expectOneSession(t)
}

// TestRefusedTokensHaveNoEffect: the same for tokens of a tokens file that are expired or revoked.
func TestRefusedTokensHaveNoEffect(t *testing.T) {
	p := newTestDir(t)
	right, revoked, expired := principal{"alice", "right"}, principal{"alice", "revoked"}, principal{"alice", "expired"}
	f := &tokensFile{path: p.path("tokens"), tokens: map[string]string{
		right.token:   entryOf(right, "run"),
		revoked.token: entryOf(revoked, "run"),
		expired.token: entryOf(expired, "run") + "expires = 2020-01-01T00:00:00Z\n",
	}}
	if err := f.change(func(map[string]string) {}); err != nil {
		t.Fatal(err)
	}
	_, ready := p.serve(t, "--tokens=tokens", "--shared-user")
	status := func(token, file string) int {
		conn, err := net.Dial("tcp", hostOf(ready.URL))
		if err != nil {
			t.Fatal(err)
		}
		return statusOf(t, conn, upgradeRequest(p.path(file), "Host: "+hostOf(ready.URL), "Authorization: Bearer "+token))
	}
	if got := status(expired.token, "refused"); got != 401 {
		t.Errorf("an expired token: status %d", got)
	}
	if got := status(revoked.token, "accepted"); got != 101 {
		t.Errorf("a token before it is revoked: status %d", got)
	}
	if err := f.change(func(tokens map[string]string) { delete(tokens, revoked.token) }); err != nil {
		t.Fatal(err)
	}
	if !poll(func() bool { return status(revoked.token, "unused") == 401 }) { // until the server has read the file
		t.Error("a revoked token is accepted")
	}
	for _, token := range []string{revoked.token, expired.token, "", "unknown"} {
		if got := status(token, "refused"); got != 401 && got != 429 { // many in a row may have been refused
			t.Errorf("the token %q: status %d", token, got)
		}
	}
	if got := status(right.token, "right"); got != 101 {
		t.Errorf("the right token: status %d", got)
	}
	if !poll(func() bool { _, err := os.Stat(p.path("right")); return err == nil }) {
		t.Error("the right token has executed no command")
	}
	p.expectNoFile(t, "refused")
}

// refuseAnotherUser connects as another user, to whom the permissions of the file system do not
// matter.
func refuseAnotherUser(t *testing.T, p *testDir) {
	t.Helper()
	const nobody = 65534
	if _, err := dialAs(p.socket(), nobody, nogroup); !errors.Is(err, syscall.EACCES) {
		t.Errorf("the permissions do not keep another user from connecting: %v", err)
	}
	for _, path := range []string{p.dir, filepath.Dir(p.socket()), p.socket()} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	c, err := dialAs(p.socket(), nobody, nogroup)
	if err != nil {
		t.Fatal(err)
	}
	if got := statusOf(t, c, upgradeRequest(p.path("refused"), "Host: localhost")); got != 403 {
		t.Errorf("another user: status %d", got)
	}
}

// expectOneSession checks that only the accepted connection has executed its command.
func (p *testDir) expectOneSession(t *testing.T) {
	t.Helper()
	c := dialSocket(t, p.socket())
	var list rpc.ListResult
	if !poll(func() bool {
		list = rpc.ListResult{}
		err := c.Call(t.Context(), rpc.MethodList, rpc.ListParams{State: "ended"}, &list)
		return err == nil && len(list.Sessions) > 0
	}) {
		t.Fatal("the accepted connection has not executed its command")
	}
	if err := c.Call(t.Context(), rpc.MethodList, rpc.ListParams{}, &list); err != nil || len(list.Sessions) != 1 {
		t.Errorf("%d sessions, %v", len(list.Sessions), err)
	}
	if _, err := os.Stat(p.path("refused")); err == nil {
		t.Error("a refused connection has executed a command")
	}
}
