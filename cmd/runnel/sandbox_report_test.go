package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestSandboxReport: what was refused is not printed to a stderr that a program may read, unless it
// is asked for. What the command has chosen cannot control a terminal.
func TestSandboxReport(t *testing.T) {
	t.Parallel()
	report := &rpc.SandboxReport{
		Profile: "build", Floor: []string{"workspace", "ci"}, Files: rpc.SandboxFiles{By: "bubblewrap+landlock", Default: "read"},
		Network: rpc.SandboxPart{Mode: "allow", By: "namespace"}, Processes: rpc.SandboxPart{Mode: "shared"},
		Tmp: rpc.SandboxPart{Mode: "private", By: "bubblewrap"}, UnixSockets: rpc.SandboxPart{Mode: "none", By: "seccomp"},
		Metadata: rpc.SandboxPart{Mode: "files", By: "bubblewrap"},
		Denied: []rpc.SandboxDenial{
			{Host: "example.org", Port: 443, Reason: "not_listed", Count: 3},
			{Host: "10.0.0.1", Port: 80, Reason: "not_public", Count: 1},
			{Host: "::1", Port: 80, Reason: "new", Count: 1},
			{Host: "\x1b[2J\"ä", Port: 1, Reason: "server_name", Count: 1},
		},
	}
	printed := func(r *rpc.SandboxReport, verbose bool) string {
		var out bytes.Buffer
		e := newExecution(&invocation{stderr: &out}, false)
		e.sandbox = r
		e.reportSandbox(verbose)
		return out.String()
	}
	want := `runnel: sandbox: profile build, floor workspace, floor ci, files by bubblewrap+landlock, network allow by namespace, processes shared, tmp private by bubblewrap, unix_sockets none by seccomp, metadata files by bubblewrap
runnel: sandbox: refused example.org:443 (3 times): it is not listed
runnel: sandbox: refused 10.0.0.1:80: its address is not public, and not listed
runnel: sandbox: refused [::1]:80
runnel: sandbox: refused \x1b[2J\"ä:1: the TLS handshake named another server
`
	if got := printed(report, true); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := printed(report, false) + printed(nil, true); got != "" {
		t.Error(got)
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	e := newExecution(&invocation{stderr: slave}, false)
	e.sandbox = report
	e.reportSandbox(false)
	if line, err := bufio.NewReader(master).ReadString('\n'); !strings.Contains(line, "refused example.org:443 (3 times)") {
		t.Errorf("on a terminal: %q, %v", line, err)
	}
	report.Denied = nil
	for i := range maxShownDenials + 3 {
		report.Denied = append(report.Denied, rpc.SandboxDenial{Host: fmt.Sprintf("host%d", i), Port: 1})
	}
	got := printed(report, true)
	if !strings.HasSuffix(got, "refused host9:1\nrunnel: sandbox: refused 3 further destinations\n") {
		t.Error(got)
	}
}
