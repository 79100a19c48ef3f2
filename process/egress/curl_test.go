package egress

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCurl uses curl with nothing but the environment.
func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	checkLeaks(t)
	hello := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.Host) }
	plain, secure := serveHTTP(t, hello), serveTLS(t, hello)
	w := newWorld(t, "site.example:"+plain, "site.example:"+secure)
	addr, err := net.ResolveTCPAddr("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), Environment(addr)...)
	run := func(env []string, args ...string) (string, error) {
		cmd := exec.Command("curl", append([]string{"-sSk", "--max-time", "20"}, args...)...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var socks []string
	for _, v := range environment {
		if name := strings.ToLower(v); !strings.HasPrefix(name, "http_proxy=") && !strings.HasPrefix(name, "https_proxy=") {
			socks = append(socks, v)
		}
	}
	for _, env := range [][]string{environment, socks} {
		for url, host := range map[string]string{"http://site.example:" + plain: plain, "https://site.example:" + secure: secure} {
			if out, err := run(env, url, url); err != nil || out != strings.Repeat("hello site.example:"+host, 2) {
				t.Errorf("%s: %q, %v", url, out, err)
			}
		}
		if out, err := run(env, "https://other.example:"+secure); err == nil {
			t.Errorf("%q", out)
		}
	}
	// Another server name than that of the tunnel.
	out, err := run(environment, "--connect-to", "secret.example:"+secure+":site.example:"+secure, "https://secret.example:"+secure)
	if err == nil {
		t.Errorf("%q", out)
	}
	for _, e := range w.eventsAfterClose() {
		if host := "other.example"; !e.Allowed() && e.Host != host && e.Host != "secret.example" {
			t.Errorf("%+v", e)
		}
	}
	if r := w.Report(); len(r.Refused) != 2 || r.Refused[0].Count+r.Refused[1].Count != 3 {
		t.Errorf("%+v", r.Refused)
	}
}
