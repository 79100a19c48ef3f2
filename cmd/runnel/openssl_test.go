//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// openssl runs the command line of OpenSSL 3 in the directory of the test, and returns its output.
func (p *testDir) openssl(t *testing.T, stdin string, args ...string) (output string, err error) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		skipUnlessRequired(t, "openssl", "%v", err)
	}
	x := exec.CommandContext(t.Context(), program, args...)
	x.Dir, x.Stdin = p.dir, strings.NewReader(stdin)
	out, err := x.CombinedOutput()
	return string(out), err
}

// certify makes NAME.pem and NAME.key, signed by the authority CA.pem, or by itself if ca is "".
func (p *testDir) certify(t *testing.T, name, ca, usage string) {
	t.Helper()
	args := []string{
		"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=" + name,
		"-keyout", name + ".key", "-out", name + ".pem",
	}
	if ca != "" {
		args = append(args, "-CA", ca+".pem", "-CAkey", ca+".key", "-addext", "basicConstraints=critical,CA:FALSE",
			"-addext", "subjectAltName=IP:127.0.0.1,DNS:"+name+".example", "-addext", "extendedKeyUsage="+usage)
	}
	if out, err := p.openssl(t, "", args...); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(p.path(name+".key"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveTLS starts a server with TLS, whose certificates are signed by the authority ca.pem.
func (p *testDir) serveTLS(t *testing.T) (*program, readyFile, client.Options) {
	t.Helper()
	p.certify(t, "ca", "", "")
	p.certify(t, "server", "ca", "serverAuth")
	x, ready := p.serve(t, "--tls-cert="+p.path("server.pem"), "--tls-key="+p.path("server.key"), "--tls-client-ca="+p.path("ca.pem"))
	token, err := readToken(ready.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.path("ca.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	return x, ready, client.Options{Token: token, TLS: &tls.Config{RootCAs: roots}}
}

// TestOpenSSL: OpenSSL reaches a server with TLS and a token. It gets no HTTP response if it presents
// a certificate of another authority, speaks an old version of TLS, or no TLS.
func TestOpenSSL(t *testing.T) {
	p := newTestDir(t)
	_, ready, o := p.serveTLS(t)
	p.certify(t, "other", "", "")
	p.certify(t, "member", "ca", "clientAuth")
	p.certify(t, "stranger", "other", "clientAuth")
	address := hostOf(ready.URL)
	connect := func(request string, args ...string) string {
		out, _ := p.openssl(t, request, append([]string{"s_client", "-connect", address, "-CAfile", "ca.pem", "-verify_return_error", "-quiet", "-ign_eof"}, args...)...)
		return out
	}
	request := upgradeRequest(p.path("refused"), "Host: "+address, "Authorization: Bearer "+o.Token)
	for name, args := range map[string][]string{
		"a certificate of another authority": {"-cert", "stranger.pem", "-key", "stranger.key"},
		"another authority itself":           {"-cert", "other.pem", "-key", "other.key"},
		"a certificate of a server":          {"-cert", "server.pem", "-key", "server.key"},
		"TLS 1.2":                            {"-tls1_2"},
	} {
		if out := connect(request, args...); !strings.Contains(out, "alert") || strings.Contains(out, "HTTP/1.1") {
			t.Errorf("%s: %s", name, out)
		}
	}
	noWebSocket := strings.Replace(request, "Upgrade: websocket", "Connection: close", 1)
	for name, args := range map[string][]string{"no certificate": nil, "a certificate": {"-cert", "member.pem", "-key", "member.key"}} {
		if out := connect(noWebSocket, args...); !strings.Contains(out, "HTTP/1.1 426 ") {
			t.Errorf("%s, and the token: %s", name, out)
		}
	}
	p.expectNoFile(t, "refused")
	resp, err := http.Get("http://" + address + "/health")
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil && resp.StatusCode == http.StatusOK {
		t.Error("the server answers without TLS")
	}
	c, err := client.Dial(t.Context(), ready.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	latencies(t, c, 1)
}

// expectNoFile checks that no command has created the file.
func (p *testDir) expectNoFile(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(p.path(name)); err == nil {
		t.Error("a refused connection has executed a command")
	}
}

// upgradeByOpenSSL requests a WebSocket by openssl, with a token unless it is "" and an execute that
// creates a file, and returns the output.
func (c *credentials) upgradeByOpenSSL(t *testing.T, token, file string, args ...string) string {
	t.Helper()
	headers := []string{"Host: " + hostOf(c.url)}
	if token != "" {
		headers = append(headers, "Authorization: Bearer "+token)
	}
	return c.sendByOpenSSL(t, upgradeRequest(c.dir.path(file), headers...), args...)
}

// sendByOpenSSL sends a request, and then a close frame, which ends an accepted connection, and an
// empty line, which ends the reading of what is no WebSocket.
func (c *credentials) sendByOpenSSL(t *testing.T, request string, args ...string) string {
	t.Helper()
	args = append([]string{"s_client", "-connect", hostOf(c.url), "-CAfile", "ca.pem", "-verify_return_error", "-quiet"}, args...)
	out, _ := c.dir.openssl(t, request+string(rawFrame(0x88, 0, ""))+"\r\n\r\n", args...)
	return out
}

func wasAccepted(out string) bool {
	return strings.Contains(out, "HTTP/1.1 101 ") && strings.Contains(out, `"method":"connected"`)
}

// TestRefusedOverTLS: the same requests over TLS as TestRefusedConnectionsHaveNoEffect, by openssl.
func TestRefusedOverTLS(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	c := p.prepareCredentials(t)
	c.serve(t, "--allow-origin=https://app.example")
	host, right := "Host: "+hostOf(c.url), "Authorization: Bearer "+c.accepted["a token"]
	for name, token := range c.accepted {
		if out := c.upgradeByOpenSSL(t, token, "accepted"); !wasAccepted(out) {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := c.upgradeByOpenSSL(t, "", "accepted", "-cert", "member.pem", "-key", "member.key"); !wasAccepted(out) {
		t.Errorf("a certificate: %s", out)
	}
	refused := func(name, want, out string) {
		if wasAccepted(out) || !strings.Contains(out, want) {
			t.Errorf("%s: %s", name, out)
		}
	}
	for name, token := range c.refused {
		refused(name, "HTTP/1.1 401 ", c.upgradeByOpenSSL(t, token, "refused"))
	}
	refused("no token", "HTTP/1.1 401 ", c.upgradeByOpenSSL(t, "", "refused"))
	refused("another authority", "alert", c.upgradeByOpenSSL(t, "", "refused", "-cert", "stranger.pem", "-key", "stranger.key"))
	for name, headers := range map[string][]string{
		"another origin": {host, right, "Origin: https://evil.example"},
		"a rebound name": {"Host: rebound.example", right, "Origin: https://app.example"},
	} {
		refused(name, "HTTP/1.1 403 ", c.sendByOpenSSL(t, upgradeRequest(p.path("refused"), headers...)))
	}
	p.expectNoFile(t, "refused")
}
