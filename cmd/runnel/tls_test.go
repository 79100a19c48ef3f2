package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// output runs a program to its end, and returns its exit status and what it has written to stdout
// and stderr.
func (p *testDir) output(t *testing.T, name string, args ...string) (status int, text string) {
	t.Helper()
	x := p.prepare(t, name, args...)
	x.Stderr = nil
	out, err := x.CombinedOutput()
	if err != nil && x.ProcessState == nil {
		t.Fatal(err)
	}
	return x.ProcessState.ExitCode(), string(out)
}

// sClient runs `openssl s_client` against a server, with a request for the health, which is
// answered if the handshake was accepted.
func (p *testDir) sClient(t *testing.T, url string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	address := strings.TrimSuffix(strings.TrimPrefix(url, "wss://"), "/ws")
	args = append([]string{"s_client", "-connect", address, "-CAfile", "ca.pem", "-verify_return_error", "-ign_eof"}, args...)
	x := p.prepare(t, "openssl", args...)
	x.Stderr = nil
	x.Stdin = strings.NewReader("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	out, _ := x.CombinedOutput()
	return string(out)
}

const answer = `{"status":"healthy"}`

// TestTLS: openssl, curl and the client verify the server's certificate; a client without TLS, or
// with an old version of it, is refused.
func TestTLS(t *testing.T) {
	p := newTestDir(t)
	ca := p.newAuthority(t, "ca")
	ca.sign("server", forServers)
	_, ready := p.serve(t, "--tls-cert=server.pem", "--tls-key=server.key")
	if !strings.HasPrefix(ready.URL, "wss://127.0.0.1:") {
		t.Fatal(ready.URL)
	}
	if out := p.sClient(t, ready.URL); !strings.Contains(out, answer) || !strings.Contains(out, "TLSv1.3") {
		t.Error(out)
	}
	if out := p.sClient(t, ready.URL, "-tls1_2"); strings.Contains(out, answer) || !strings.Contains(out, "protocol version") {
		t.Error(out)
	}
	if _, err := exec.LookPath("curl"); err == nil {
		https := "https" + strings.TrimSuffix(strings.TrimPrefix(ready.URL, "wss"), "/ws") + "/health"
		if status, out := p.output(t, "curl", "-sS", "--cacert", "ca.pem", "-w", "%{http_version}", https); status != 0 || out != answer+"1.1" {
			t.Errorf("curl: %d, %s", status, out)
		}
		if status, out := p.output(t, "curl", "-sS", https); status != 60 {
			t.Errorf("curl without the authority: %d, %s", status, out)
		}
		if _, out := p.output(t, "curl", "-sS", strings.Replace(https, "https", "http", 1)); !strings.Contains(out, "requires TLS") {
			t.Errorf("curl without TLS: %s", out)
		}
	}
	if status, out := p.output(t, "runnel", "run", "--url="+ready.URL, "--tls-ca=ca.pem", "--", "echo", "done"); status != 0 || out != "done\n" {
		t.Errorf("run: %d, %s", status, out)
	}
	if status, out := p.output(t, "runnel", "ps", "--url="+ready.URL); status != 1 || !strings.Contains(out, "signed by an unknown authority: --tls-ca") {
		t.Errorf("without the authority: %d, %s", status, out)
	}
	name := strings.Replace(ready.URL, "127.0.0.1", "localhost", 1)
	if status, out := p.output(t, "runnel", "ps", "--url="+name, "--tls-ca=ca.pem"); status != 1 || !strings.Contains(out, "not localhost") {
		t.Errorf("another name: %d, %s", status, out)
	}
	plain := strings.Replace(ready.URL, "wss", "ws", 1)
	if status, out := p.output(t, "runnel", "ps", "--url="+plain); status != 1 || !strings.Contains(out, "requires TLS") {
		t.Errorf("without TLS: %d, %s", status, out)
	}
}

// TestTLS12: the flag accepts it.
func TestTLS12(t *testing.T) {
	p := newTestDir(t)
	p.newAuthority(t, "ca").sign("server", forServers)
	_, ready := p.serve(t, "--tls-cert=server.pem", "--tls-key=server.key", "--tls-min-version=1.2", "--socket=")
	if out := p.sClient(t, ready.URL, "-tls1_2"); !strings.Contains(out, answer) {
		t.Error(out)
	}
	if out := p.sClient(t, ready.URL, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"); strings.Contains(out, answer) {
		t.Error(out)
	}
}

// TestTLSFiles: errors of the flags and files name them.
func TestTLSFiles(t *testing.T) {
	p := newTestDir(t)
	ca := p.newAuthority(t, "ca")
	ca.sign("server", forServers)
	ca.sign("other", forServers)
	p.replace(t, "empty", nil)
	p.replace(t, "public.key", readFile(t, p.path("server.key")))
	if err := syscall.Chmod(p.path("public.key"), 0o604); err != nil {
		t.Fatal(err)
	}
	for text, args := range map[string][]string{
		"--tls-cert requires --tls-key":       {"--tls-cert=server.pem"},
		"--tls-key and --tls-client-ca":       {"--tls-key=server.key"},
		"--tls-key: open nowhere":             {"--tls-cert=server.pem", "--tls-key=nowhere"},
		"--tls-cert .: not a regular file":    {"--tls-cert=.", "--tls-key=server.key"},
		"private key does not match":          {"--tls-cert=server.pem", "--tls-key=other.key"},
		"mode is 0604":                        {"--tls-cert=server.pem", "--tls-key=public.key"},
		"--tls-client-ca empty: no cert":      {"--tls-cert=server.pem", "--tls-key=server.key", "--tls-client-ca=empty", "--principals=empty"},
		"--jwt-jwks requires --jwt-issuer":    {"--jwt-jwks=empty", "--principals=empty"},
		"--jwt-jwks requires --principals":    {"--jwt-jwks=empty", "--jwt-issuer=a", "--jwt-audience=b"},
		"--jwt-issuer and --jwt-audience":     {"--jwt-issuer=a"},
		"begin with https://":                 {"--jwt-jwks=http://h.example/", "--jwt-issuer=a", "--jwt-audience=b", "--principals=empty"},
		"the key set is not JSON":             {"--jwt-jwks=empty", "--jwt-issuer=a", "--jwt-audience=b", "--principals=empty"},
		"cannot be used together with creden": {"--auth=none", "--jwt-jwks=empty", "--jwt-issuer=a", "--jwt-audience=b", "--principals=empty"},
	} {
		status, out := p.output(t, "runnel", append([]string{"serve", "--listen=127.0.0.1:0"}, args...)...)
		if status == 0 || !strings.Contains(out, text) || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: %d, %s", args, status, out)
		}
	}
}

const agentIsMapped = "[[certificate]]\nname = \"*.agents.example\"\nprincipal = \"agent\"\n"

// TestClientCertificates: one of the authority is the principal that its name is mapped to. One of
// another authority, an expired one and one without the usage for clients are refused by the
// handshake, before a request is read.
func TestClientCertificates(t *testing.T) {
	p := newTestDir(t)
	ca, other := p.newAuthority(t, "clients"), p.newAuthority(t, "other")
	p.newAuthority(t, "ca").sign("server", forServers)
	ca.sign("good", forClients("a.agents.example"))
	ca.sign("unmapped", forClients("a.example"))
	other.sign("foreign", forClients("a.agents.example"))
	late, anything, servers := forClients("a.agents.example"), forClients("a.agents.example"), forServers
	late.NotAfter = time.Now().Add(-time.Minute)
	anything.ExtKeyUsage = nil
	servers.DNSNames = []string{"a.agents.example"}
	ca.sign("late", late)
	ca.sign("anything", anything)
	ca.sign("servers", servers)
	p.replace(t, "principals.toml", []byte(agentIsMapped))
	server, ready := p.serve(t, "--tls-cert=server.pem", "--tls-key=server.key", "--tls-client-ca=clients.pem", "--principals=principals.toml", "--log-level=debug")
	for _, name := range []string{"foreign", "late", "anything", "servers"} {
		if out := p.sClient(t, ready.URL, "-cert", name+".pem", "-key", name+".key"); strings.Contains(out, answer) {
			t.Errorf("%s: %s", name, out)
		}
	}
	server.awaitStderr(`"why":"client certificate refused"`)
	server.awaitStderr(`"detail":"its authority is not accepted"`)
	server.awaitStderr(`"detail":"it has expired, or is not valid yet"`)
	server.awaitStderr(`"detail":"it is not for clients"`)
	if out := p.sClient(t, ready.URL, "-cert", "good.pem", "-key", "good.key"); !strings.Contains(out, answer) {
		t.Errorf("good: %s", out)
	}
	url := "--url=" + ready.URL
	if status, out := p.output(t, "runnel", "ps", url, "--tls-ca=ca.pem"); status != 1 || !strings.Contains(out, "the token is missing") {
		t.Errorf("no certificate: %d, %s", status, out)
	}
	if status, out := p.output(t, "runnel", "ps", url, "--tls-ca=ca.pem", "--tls-cert=unmapped.pem", "--tls-key=unmapped.key"); status != 1 || !strings.Contains(out, "the certificate of unmapped.pem is not accepted, and the token is missing") {
		t.Errorf("unmapped: %d, %s", status, out)
	}
	p.replace(t, "runnel/token", []byte("stale\n")) // is not sent with the certificate
	mine := []string{url, "--tls-ca=ca.pem", "--tls-cert=good.pem", "--tls-key=good.key"}
	if status, out := p.output(t, "runnel", append([]string{"run"}, append(mine, "--", "echo", "done")...)...); status != 0 || out != "done\n" {
		t.Errorf("good: %d, %s", status, out)
	}
	revoked := func(name, file string, text []byte) {
		t.Helper()
		x := p.runnel(t, append([]string{"run"}, append(mine, "--", "sh", "-c", "echo ready; exec sleep 1000")...)...)
		x.expectLine("ready")
		p.replace(t, file, text)
		x.expectExit(exitRunnelFailed)
		server.awaitStderr(`"why":"the credential was revoked"`)
		if out := x.stderrText(); !strings.Contains(out, "401") && !strings.Contains(out, "unknown certificate authority") {
			t.Errorf("%s: %s", name, out) // of the one attempt to connect, as the certificate may be a new one
		}
	}
	revoked("mapping", "principals.toml", nil)
	p.replace(t, "principals.toml", []byte(agentIsMapped))
	if !poll(func() bool {
		status, _ := p.output(t, "runnel", append([]string{"ps"}, mine...)...)
		return status == 0
	}) {
		t.Fatal("the mapping is not accepted again")
	}
	revoked("authority", "clients.pem", readFile(t, p.path("other.pem")))
}

// TestCertificateReload: a new certificate is used by later connections, and an invalid one is not.
func TestCertificateReload(t *testing.T) {
	p := newTestDir(t)
	p.newAuthority(t, "ca").sign("server", forServers)
	server, ready := p.serve(t, "--tls-cert=server.pem", "--tls-key=server.key")
	p.replace(t, "server.pem", []byte("no certificate"))
	server.awaitStderr("configuration not reloaded")
	if status, out := p.output(t, "runnel", "ps", "--url="+ready.URL, "--tls-ca=ca.pem"); status != 0 {
		t.Errorf("with an invalid certificate: %d, %s", status, out)
	}
	p.newAuthority(t, "ca2").sign("server", forServers)
	if !poll(func() bool {
		status, _ := p.output(t, "runnel", "ps", "--url="+ready.URL, "--tls-ca=ca2.pem")
		return status == 0
	}) {
		t.Error("the new certificate is not used")
	}
	if status, out := p.output(t, "runnel", "ps", "--url="+ready.URL, "--tls-ca=ca.pem"); status != 1 {
		t.Errorf("the old certificate: %d, %s", status, out)
	}
}
