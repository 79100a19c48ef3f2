//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// webSocketCase is a WebSocket that a page opens.
type webSocketCase struct {
	Name, URL string
	Protocols []string
	connected bool // whether it is to receive a message
}

// browserPage is a page that opens the WebSockets one after the other, and reports what happened:
// the first message of each, or that it was closed before. Over TLS it makes a request before, as
// docs/operating.md says for servers that ask for certificates.
const browserPage = `<!DOCTYPE html><script>
(async () => {
	const results = {};
	for (const c of %s) {
		if (c.URL.startsWith("wss:")) {
			const health = new URL("/health", c.URL.replace("wss:", "https:"));
			await fetch(health, {mode: "no-cors", credentials: "include"}).catch(() => {});
		}
		results[c.Name] = await new Promise(resolve => {
			const ws = new WebSocket(c.URL, c.Protocols);
			ws.onmessage = m => { resolve(m.data); ws.close(); };
			ws.onclose = () => resolve("closed");
		});
	}
	await fetch("/report", {method: "POST", body: JSON.stringify(results)});
})();
</script>`

// browse opens a page at host, which the browser resolves to 127.0.0.1, and checks what the cases
// came to. The cases are made for the origin of the page. Flags are those of Chromium besides.
func browse(t *testing.T, p *testDir, host string, cases func(origin string) []webSocketCase, flags ...string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		skipUnlessRequired(t, "chromium", "%v", err)
	}
	var page string
	reports := make(chan map[string]string, 1)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var report map[string]string
		if r.URL.Path != "/report" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(page))
		} else if json.NewDecoder(r.Body).Decode(&report) == nil {
			reports <- report
		}
	}))
	defer web.Close()
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	origin := "http://" + host + ":" + port
	all := cases(origin)
	text, _ := json.Marshal(all)
	page = fmt.Sprintf(browserPage, text)
	web.Start()
	x := p.prepare(t, chromium, append(flags, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-breakpad", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+p.path("browser"),
		"--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", origin+"/")...)
	x.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	x.startPrepared()
	defer func() {
		_ = syscall.Kill(-x.Process.Pid, syscall.SIGKILL)
		<-x.done
	}()
	select {
	case report := <-reports:
		for _, c := range all {
			got, connected := report[c.Name], strings.HasPrefix(report[c.Name], `{"jsonrpc":"2.0","method":"connected"`)
			if got == "" || connected != c.connected || !connected && got != "closed" {
				t.Errorf("%s: %.100q", c.Name, got)
			}
		}
	case <-time.After(2 * testTimeout): // a browser takes some seconds to start
		t.Fatalf("no report: %s", x.stderrText())
	}
}

// TestBrowser: a page in a browser connects only if its origin is allowed and it has the token. A
// page whose name is rebound to loopback is refused by the name of the host, whatever it knows.
func TestBrowser(t *testing.T) {
	p := newTestDir(t)
	var token, url string
	start := func(t *testing.T, origin string) {
		_, ready := p.serve(t, "--allow-origin="+origin)
		url = ready.URL
		var err error
		if token, err = readToken(ready.TokenFile); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("allowed origin", func(t *testing.T) {
		browse(t, p, "127.0.0.1", func(origin string) []webSocketCase {
			start(t, origin)
			return []webSocketCase{
				{"the token", url, []string{"runnel.v1", "bearer." + token}, true},
				{"no token", url, []string{"runnel.v1"}, false},
				{"a wrong token", url, []string{"runnel.v1", "bearer." + strings.Repeat("x", len(token))}, false},
				{"a token in the URL", url + "?token=" + token, []string{"runnel.v1"}, false},
			}
		})
	})
	t.Run("another origin", func(t *testing.T) {
		browse(t, p, "127.0.0.1", func(origin string) []webSocketCase {
			start(t, "https://other.example")
			return []webSocketCase{
				{"the token", url, []string{"runnel.v1", "bearer." + token}, false},
				{"no subprotocol", url, nil, false},
			}
		})
	})
	t.Run("rebound name", func(t *testing.T) {
		browse(t, p, "rebound.example", func(origin string) []webSocketCase {
			start(t, origin) // the origin is allowed, so only the host is wrong
			rebound := strings.Replace(url, "127.0.0.1", "rebound.example", 1)
			return []webSocketCase{
				{"the token", rebound, []string{"runnel.v1", "bearer." + token}, false},
				{"the address itself", url, []string{"runnel.v1", "bearer." + token}, true},
			}
		})
	})
}

// TestBrowserOverTLS: over wss:// a page connects with a valid token or JWT, and with no other. The
// browser knows the certificate of the server by its key, and has no certificate of its own.
func TestBrowserOverTLS(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	c := p.prepareCredentials(t)
	key := sha256.Sum256(c.server.Leaf.RawSubjectPublicKeyInfo)
	browse(t, p, "127.0.0.1", func(origin string) (cases []webSocketCase) {
		c.serve(t, "--allow-origin="+origin)
		for name, token := range c.accepted {
			cases = append(cases, webSocketCase{name, c.url, []string{"runnel.v1", "bearer." + token}, true})
		}
		for name, token := range c.refused {
			cases = append(cases, webSocketCase{name, c.url, []string{"runnel.v1", "bearer." + token}, false})
		}
		return append(cases,
			webSocketCase{"no token", c.url, []string{"runnel.v1"}, false},
			webSocketCase{"a rebound name", strings.Replace(c.url, "127.0.0.1", "rebound.example", 1), []string{"runnel.v1", "bearer." + c.accepted["a token"]}, false},
		)
	}, "--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(key[:]))
}
