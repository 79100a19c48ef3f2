//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusals returns how many refusals the audit log has of each detail, or reason without one.
func refusals(t *testing.T, path string) map[string]int {
	t.Helper()
	lines, _ := auditLines(t, path)
	counts := make(map[string]int)
	for _, x := range lines {
		if x["event"] != "refusal" {
			continue
		}
		why, _ := x["detail"].(string)
		if why == "" {
			why, _ = x["reason"].(string)
		}
		if x["status"] == 401.0 && x["detail"] == nil {
			t.Errorf("no detail: %v", x)
		}
		if reasons, several := x["reasons"].(map[string]any); several {
			for why, n := range reasons {
				counts[why] += int(n.(float64))
			}
			continue
		}
		counts[why] += int(x["count"].(float64))
	}
	return counts
}

// TestAuditOfRefusedCredentials: the audit log says why a credential was refused. The caller gets the
// same response in all cases, and no credential is in the audit log.
func TestAuditOfRefusedCredentials(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	key, other := p.writeIssuer(t, aliceIsMapped)
	good, bad := signedJWTs(t, key, other)
	alice, bob := p.newToken(t, "alice"), p.newToken(t, "bob", "--expires=1s")
	server, url := p.serveTokens(t, append([]string{"--audit=" + p.path("audit")}, jwtFlagsOfTests...)...)
	connected := upgrade(t, url, alice)
	if connected.status != 101 {
		t.Fatal(connected)
	}
	p.runnel(t, "token", "revoke", "alice", "--tokens=tokens.toml").expectExit(0)
	if code := connected.closedWith(t); code != 4401 {
		t.Errorf("the connection of a revoked token was closed with %d", code)
	}
	time.Sleep(time.Second) // until the token of bob has expired, which is what is tested
	missing := upgrade(t, url, "")
	want := map[string]int{"no credential was presented": 1}
	for why, token := range map[string]string{
		"the token is unknown":                                   "mistaken",
		"the token has expired":                                  bob,
		"the token was revoked":                                  alice,
		"the JWT is malformed, or its algorithm is not accepted": bad["alg:none"],
		"the signature of the JWT is wrong":                      bad["wrong key"],
		"the issuer of the JWT is not accepted":                  bad["issuer"],
		"the JWT is for another audience":                        bad["audience"],
		"the JWT has expired":                                    bad["expired"],
		"the JWT is not valid yet":                               bad["not yet"],
		"the subject of the JWT is not mapped to a principal":    bad["unmapped"],
	} {
		want[why]++
		if u := upgrade(t, url, token); u.status != 401 || u.body != missing.body || fmt.Sprint(u.header) != fmt.Sprint(missing.header) {
			t.Errorf("%s: %+v, want %+v", why, u, missing)
		}
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
	if got := refusals(t, p.path("audit")); !maps.Equal(got, want) {
		t.Errorf("refusals %v, want %v", got, want)
	}
	all, err := os.ReadFile(p.path("audit"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(all)
	for _, token := range []string{alice, bob, good, "mistaken"} {
		if strings.Contains(text, token) {
			t.Error("a credential is in the audit log")
		}
	}
	if !strings.Contains(text, `"code":4401,"reason":"the credential was revoked"`) {
		t.Error("the close of the connection is not in the audit log")
	}
}
