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

// connectByProxy is a function of bash that connects to a destination.
const connectByProxy = `connect() {
	p=${HTTPS_PROXY#http://}
	exec 3<>/dev/tcp/${p%:*}/${p#*:}
	printf "CONNECT $1 HTTP/1.1\r\nHost: $1\r\n\r\n" >&3
	cat <&3
}
`

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
	var done rpc.Captured
	p.ok("execute", object{
		"command": []string{"bash", "-c", connectByProxy + "connect " + l.Addr().String() + "; connect example.net:1; connect example.net:1"},
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

// TestSandboxDeniedMore: attempts that are not in the record one by one are counted at the end in the
// audit log, too.
func TestSandboxDeniedMore(t *testing.T) {
	needsSandbox(t, string(sandbox.BubblewrapLandlock))
	a := auditTo(t, audit.Options{})
	p := serve(t, a.set).dial(t)
	var done rpc.Captured
	p.ok("execute", object{
		"command": []string{"bash", "-c", connectByProxy + "for i in {1..34}; do connect example.net:$i; done"}, "cwd": "/usr", "wait": true,
		"sandbox": object{"network": object{"allow": []string{"example.org:443"}}},
	}, &done)
	if s := done.Sandbox; len(s.Denied) != 32 || s.DeniedMore != 2 {
		t.Errorf("%+v", s)
	}
	if end := of(a.lines(), "end"); len(end) != 1 || !strings.Contains(end[0].text, `"sandbox":{"denied_more":2}`) {
		t.Errorf("%+v", end)
	}
}
