//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// nobody is another user than that of the tests, and nogroup its group.
const nobody, nogroup = 65534, 65534

// dialAs connects to a Unix socket as another user: on a thread of its own, which ends afterwards,
// so no other code has its credentials.
func dialAs(path string, uid, gid int, groups ...uint32) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()              // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() { // the first thread of a process does not end
			defer runtime.UnlockOSThread()
			c, err = dialAs(path, uid, gid, groups...)
			close(done)
			return
		}
		defer close(done)
		var fd int
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		var list uintptr
		if len(groups) > 0 {
			list = uintptr(unsafe.Pointer(&groups[0]))
		}
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, uintptr(len(groups)), list, 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				err = errno
				return
			}
		}
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			c, err = net.FileConn(f)
		}
	}()
	<-done
	return c, err
}

// upgradeSocket requests a WebSocket over a Unix socket, as a user. It returns the status, and the
// principal if the request was accepted.
func upgradeSocket(t *testing.T, path, token, host string, dial func(string) (net.Conn, error)) (status int, principal string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	o := &websocket.DialOptions{HTTPHeader: http.Header{}, Host: host, HTTPClient: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial(path) },
	}}}
	if token != "" {
		o.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	ws, r, err := websocket.Dial(ctx, "ws://localhost/ws", o)
	if r == nil {
		t.Fatal(err)
	}
	if err != nil {
		return r.StatusCode, ""
	}
	defer ws.CloseNow()
	_, text, err := ws.Read(ctx)
	var connected struct{ Params struct{ Principal string } }
	if err := errors.Join(err, json.Unmarshal(text, &connected)); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, connected.Params.Principal
}

func dialOwn(path string) (net.Conn, error) { return net.Dial("unix", path) }

func asNobody(groups ...uint32) func(string) (net.Conn, error) {
	return func(path string) (net.Conn, error) { return dialAs(path, nobody, nogroup, groups...) }
}

// openDir lets other users reach the socket in the directory.
func openDir(t *testing.T, p *testDir) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: requires root, to act as another user")
	}
	if err := errors.Join(os.Mkdir(p.path("runnel"), 0o711), os.Chmod(p.dir, 0o711)); err != nil {
		t.Fatal(err)
	}
}

// TestPeers: which users of this machine may use the Unix socket, and as whom.
func TestPeers(t *testing.T) {
	own := "uid:root"
	for name, c := range map[string]struct {
		args      []string
		tokens    bool
		dial      func(string) (net.Conn, error)
		token     bool // alice's
		host      string
		status    int
		principal string
		mode      os.FileMode
	}{
		"own":                   {dial: dialOwn, status: 101, principal: "user", mode: 0o600},
		"own, foreign host":     {dial: dialOwn, host: "evil.example", status: 403, mode: 0o600},
		"own, tokens":           {tokens: true, dial: dialOwn, status: 403, mode: 0o600},
		"own, token":            {tokens: true, dial: dialOwn, token: true, status: 101, principal: "alice", mode: 0o600},
		"own, allowed":          {tokens: true, args: []string{"--allow-uid=0"}, dial: dialOwn, status: 101, principal: own, mode: 0o600},
		"own, another allowed":  {args: []string{"--allow-uid=nobody"}, dial: dialOwn, status: 101, principal: "user", mode: 0o666},
		"other":                 {args: []string{"--allow-uid=daemon"}, dial: asNobody(), status: 403, mode: 0o666},
		"other, allowed":        {args: []string{"--allow-uid=nobody"}, dial: asNobody(), status: 101, principal: "uid:nobody", mode: 0o666},
		"other, number":         {args: []string{"--allow-uid=65534"}, dial: asNobody(), status: 101, principal: "uid:nobody", mode: 0o666},
		"other, group":          {args: []string{"--allow-gid=65534"}, dial: asNobody(), status: 101, principal: "uid:nobody", mode: 0o666},
		"other, further group":  {args: []string{"--allow-gid=12345"}, dial: asNobody(3, 12345), status: 101, principal: "uid:nobody", mode: 0o666},
		"other, another group":  {args: []string{"--allow-gid=12345"}, dial: asNobody(3, 12346), status: 403, mode: 0o666},
		"other, tokens, token":  {tokens: true, args: []string{"--allow-uid=daemon"}, dial: asNobody(), token: true, status: 101, principal: "alice", mode: 0o666},
		"other, tokens":         {tokens: true, args: []string{"--allow-uid=daemon"}, dial: asNobody(), status: 403, mode: 0o666},
		"other, tokens, user":   {tokens: true, args: []string{"--allow-uid=nobody"}, dial: asNobody(), status: 101, principal: "uid:nobody", mode: 0o666},
		"other, tokens, groups": {tokens: true, args: []string{"--allow-gid=0"}, dial: dialOwn, status: 101, principal: own, mode: 0o666},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			openDir(t, p)
			args, token := append(c.args, "--shared-user"), ""
			if c.tokens {
				args = append(args, "--tokens=tokens.toml")
				token = p.newToken(t, "alice")
			}
			if !c.token {
				token = ""
			}
			p.serve(t, args...)
			status, principal := upgradeSocket(t, p.socket(), token, c.host, c.dial)
			if status != c.status || principal != c.principal {
				t.Errorf("status %d, principal %q", status, principal)
			}
			if info, err := os.Stat(p.socket()); err != nil || info.Mode().Perm() != c.mode {
				t.Errorf("socket: %v, %v", info, err)
			}
		})
	}
}

// TestProxySocket: a socket for proxies requires a credential of everybody.
func TestProxySocket(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	token := p.newToken(t, "alice")
	server, _ := p.serve(t, "--tokens=tokens.toml", "--allow-uid=0", "--shared-user", "--listen=unix:proxy", "--trusted-proxy=unix")
	path := p.path("proxy")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	if status, _ := upgradeSocket(t, path, "", "", dialOwn); status != 401 {
		t.Errorf("without a credential: %d", status)
	}
	if status, principal := upgradeSocket(t, path, token, "", dialOwn); status != 101 || principal != "alice" {
		t.Errorf("with a token: %d, %q", status, principal)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nConnection: close\r\n\r\n"))
	server.awaitStderr("192.0.2.7")
}

// TestUnsafeFlags: combinations that are not safe are refused, and the error names the flag that
// permits them.
func TestUnsafeFlags(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.newToken(t, "alice")
	for args, want := range map[string]string{
		"--listen=0.0.0.0:0":                                           "--insecure-plaintext",
		"--listen=[::]:0":                                              "--insecure-plaintext",
		"--listen=0.0.0.0:0 --auth=none":                               "--auth none",
		"--listen=0.0.0.0:0 --auth=none --insecure-plaintext":          "--auth none",
		"--listen=unix:x --auth=none":                                  "--auth none",
		"--auth=none --tokens=tokens.toml --listen=127.0.0.1:0":        "--auth none",
		"--allow-uid=-1 --listen=127.0.0.1:0":                          "--allow-uid",
		"--allow-uid=no-such-user --listen=127.0.0.1:0":                "--allow-uid",
		"--allow-gid=no-such-group --listen=127.0.0.1:0":               "--allow-gid",
		"--trusted-proxy=localhost --listen=127.0.0.1:0":               "--trusted-proxy",
		"--tokens=nowhere --listen=127.0.0.1:0":                        "--tokens",
		"--principals=nowhere --listen=127.0.0.1:0":                    "--principals",
		"--tokens=tokens.toml --allow-uid=nobody --listen=127.0.0.1:0": "--shared-user",
		"--allow-uid=nobody --listen=127.0.0.1:0":                      "--shared-user",
	} {
		x := p.runnel(t, append([]string{"serve"}, strings.Fields(args)...)...)
		status := 2
		if strings.Contains(args, "nowhere") {
			status = 1
		}
		x.expectExit(status)
		x.expectError(want)
	}
	x, _ := p.serve(t, "--listen=0.0.0.0:0", "--insecure-plaintext")
	x.awaitStderr("listening")
}

// TestSessionsAreLimited: a command that uses its server's socket is who started it, whatever the
// user of its process may be otherwise.
func TestSessionsAreLimited(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	if err := os.WriteFile(p.path("alice"), []byte(p.newToken(t, "alice")), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ready := p.serve(t, "--tokens=tokens.toml", "--allow-uid=0", "--shared-user")
	runnel, err := exec.LookPath("runnel")
	if err != nil {
		t.Fatal(err)
	}
	command := []string{"env", "XDG_RUNTIME_DIR=" + p.dir, runnel, "run", "--", runnel, "ps", "--json"}
	x := p.runnel(t, append([]string{"run", "--url=" + ready.URL, "--token-file=alice", "--"}, command...)...)
	line := x.readLine()
	x.expectExit(0)
	if !strings.Contains(line, `"principal":"alice"`) || strings.Contains(line, "uid:root") {
		t.Errorf("sessions: %s", line)
	}
}
