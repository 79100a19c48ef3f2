//go:build linux

package server_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
)

// TestSandboxDestinations: what the command connects to through the proxy is in the audit log at its
// first use, and with its numbers before the end. Environment variables of the request do not replace
// those that lead to the proxy.
func TestSandboxDestinations(t *testing.T) {
	needsSandbox(t, string(sandbox.BubblewrapLandlock))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello\n")
			_ = conn.Close()
		}
	}()
	a := auditTo(t, audit.Options{})
	s := serve(t, a.set)
	p := s.dial(t)
	const connect = `connect() {
	p=${HTTPS_PROXY#http://}
	exec 3<>/dev/tcp/${p%:*}/${p#*:}
	printf "CONNECT $1 HTTP/1.1\r\nHost: $1\r\n\r\n" >&3
	cat <&3
}
`
	var done rpc.Captured
	p.ok("execute", object{
		"command": []string{"bash", "-c", connect + "connect " + l.Addr().String() + "; connect example.net:1; connect example.net:1"},
		"cwd":     "/usr", "env": object{"HTTPS_PROXY": "x"}, "wait": true,
		"sandbox": object{"profile": "read-only", "network": object{"allow": []string{l.Addr().String()}}, "metadata": "files"},
	}, &done)
	if !strings.Contains(*done.Stdout, "hello\n") {
		t.Errorf("%q %q", *done.Stdout, *done.Stderr)
	}
	want := []rpc.SandboxDenial{{Host: "example.net", Port: 1, Reason: "not_listed", Count: 2}}
	if done.Sandbox == nil || !slices.Equal(done.Sandbox.Denied, want) {
		t.Errorf("%+v", done.Sandbox)
	}
	count := map[string]int{}
	for _, line := range a.lines() {
		if line.SessionID != done.SessionID {
			continue
		}
		count[line.Event]++
		final := strings.Contains(line.text, `"final":true,"count":2`) || strings.Contains(line.text, `"final":true,"count":1,"failed":0,"up_bytes":0,"down_bytes":6`)
		if first := strings.Contains(line.text, `"final":false}`); line.Event == "destination" && first == final {
			t.Error(line.text)
		}
		if asked := line.Event == "execute" && !strings.Contains(line.text, `"sandbox":{"profile":"read-only","network":"allow","allow":["`+l.Addr().String()+`"],"metadata":"files"}`); asked {
			t.Error(line.text)
		}
		if line.Event == "started" && !strings.Contains(line.text, `"metadata":{"by":"bubblewrap","mode":"files"}`) {
			t.Error(line.text)
		}
		if line.Event == "end" && count["destination"] != 4 {
			t.Errorf("%v before the end", count)
		}
	}
	if count["execute"] != 1 || count["started"] != 1 || count["end"] != 1 {
		t.Errorf("%v", count)
	}
}
