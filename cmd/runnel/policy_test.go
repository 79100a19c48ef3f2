package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/policy"
	"github.com/runnel-rpc/runnel/session"
)

// writePolicy writes the policy file of the directory, as an editor replaces a file.
func (p *testDir) writePolicy(t *testing.T, text string) {
	t.Helper()
	err := os.WriteFile(p.path("policy.new"), []byte(text), 0o600)
	if err == nil {
		err = os.Rename(p.path("policy.new"), p.path("policy.toml"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// permits reports whether the server permits a command to the caller of the token file.
func (p *testDir) permits(t *testing.T, url string, command ...string) bool {
	t.Helper()
	x := p.runnel(t, append([]string{"run", "--url=" + url, "--token-file=token", "--cwd=/usr", "--"}, command...)...)
	<-x.done
	return x.ProcessState.Success()
}

// TestPolicyReload: a policy is read again when it changes. An invalid one changes nothing, and a
// session that runs continues.
func TestPolicyReload(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	const start = "[default]\ndirectories = ['/usr']\nenvironment = {drop = true}\n"
	const both = start + "programs = [{path = '/bin/true'}, {path = '/bin/echo'}, {path = '/bin/cat'}]\n"
	p.writePolicy(t, both)
	server, ready := p.serve(t, "--policy=policy.toml", "--token-file=token", "--log-format=json")
	server.awaitStderr("is not set: commands run as the server's own user")
	if !p.permits(t, ready.URL, "true") || p.permits(t, ready.URL, "env") {
		t.Fatal("the policy does not apply:", server.stderrText())
	}
	session := p.runnel(t, "run", "--url="+ready.URL, "--token-file=token", "--cwd=/usr", "--", "cat")
	_, _ = session.in.Write([]byte("line\n"))
	session.expectLine("line")

	p.writePolicy(t, start+"programs = [{path = 'echo'}]\n")
	server.awaitStderr("policy.toml:4: default.programs[0].path: ")
	if !p.permits(t, ready.URL, "true") {
		t.Error("an invalid policy has replaced the valid one")
	}

	p.writePolicy(t, start+"programs = [{path = '/bin/echo'}]\n")
	if !poll(func() bool { return !p.permits(t, ready.URL, "true") }) {
		t.Error("the policy was not read again")
	}
	if !p.permits(t, ready.URL, "echo") {
		t.Error("echo is refused")
	}
	_, _ = session.in.Write([]byte("another\n"))
	session.expectLine("another")
	_ = session.in.Close()
	session.expectExit(0)
}

// TestPolicyUsers: with a policy principals run as different users. Those that share one are
// refused at the start, and in a file that is read again.
func TestPolicyUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run commands as other users")
	}
	t.Parallel()
	p := newTestDir(t)
	users := func(alice, bob string) string {
		const section = "[principal.NAME]\nuser = 'USER'\nshell = true\ndirectories = ['/usr']\nenvironment = {drop = true}\n"
		return strings.NewReplacer("NAME", "alice", "USER", alice).Replace(section) + strings.NewReplacer("NAME", "bob", "USER", bob).Replace(section)
	}
	for _, name := range []string{"alice", "bob"} {
		if err := os.WriteFile(p.path(name), []byte(p.newToken(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.writePolicy(t, users("nobody", "nobody"))
	x := p.runnel(t, "serve", "--listen=127.0.0.1:0", "--tokens=tokens.toml", "--policy=policy.toml")
	x.awaitStderr("the commands of alice and bob run as the same user")
	x.expectExit(2)
	p.writePolicy(t, users("nobody", "daemon"))
	server, ready := p.serve(t, "--tokens=tokens.toml", "--policy=policy.toml", "--log-format=json")
	for name, user := range map[string]string{"alice": "nobody", "bob": "daemon"} {
		x := p.runnel(t, "run", "--url="+ready.URL, "--token-file="+name, "--cwd=/usr", "-c", "id -un; echo $HOME; ! cat /proc/$PPID/environ")
		x.expectLine(user)
		if home := x.readLine(); !strings.HasPrefix(home, "/") {
			t.Errorf("HOME=%q", home)
		}
		x.expectExit(0)
	}
	p.writePolicy(t, users("nobody", "nobody"))
	server.awaitStderr("configuration not reloaded")
}

// TestLoggedRefusals: the line about what a policy has refused has the trace id of the execute, if the
// policy accepts its traceparent.
func TestLoggedRefusals(t *testing.T) {
	t.Parallel()
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	for version, want := range map[string]string{
		"00": `{"level":"debug","principal":"ci","trace_id":"` + traceID + `","rule":"default.shell",`,
		"01": `{"level":"debug","principal":"ci","rule":"default.shell",`,
	} {
		p, err := policy.Parse("policy", []byte("[default]\ndirectories = ['/']\nenvironment = {drop = true}\n"), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		params := rpc.ExecuteParams{Command: rpc.Command{Shell: "true"}, Traceparent: version + "-" + traceID + "-00f067aa0ba902b7-01"}
		restrict := logged(policy.NewGuard(p, nil), zerolog.New(&log))
		if err := restrict(access.Identity{Principal: "ci"}, &params, &session.Spec{TraceID: traceID}); err == nil {
			t.Fatal("not refused")
		}
		if !strings.HasPrefix(log.String(), want) {
			t.Errorf("%s, want %s", log.String(), want)
		}
	}
}
