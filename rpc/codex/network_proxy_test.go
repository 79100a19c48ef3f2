//go:build linux

package codex_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// proxied returns the params of a networkProxy.
func proxied(mode string, domains map[string]string) map[string]any {
	return map[string]any{"proxy": map[string]any{
		"enabled": true, "enableSocks5": true, "enableSocks5Udp": false, "allowUpstreamProxy": false,
		"dangerouslyAllowAllUnixSockets": false, "mode": mode, "domains": domains, "unixSockets": nil, "allowLocalBinding": false,
	}}
}

// TestNetworkProxy checks that a command with a managed network connects to the domains that the client permits,
// and to nothing else.
func TestNetworkProxy(t *testing.T) {
	t.Parallel()
	needsAllowList(t)
	c := serve(t).client()
	s := site(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reached") })
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir, port := t.TempDir(), s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	connect := func(to string) string {
		return fmt.Sprintf(`p=${HTTP_PROXY#http://}; exec 3<>/dev/tcp/${p%%:*}/${p#*:}; printf 'GET http://%[1]s/ HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n' >&3; cat <&3`, to)
	}
	for _, network := range []string{"restricted", "enabled"} {
		for to, want := range map[string]string{"127.0.0.1:" + port: "reached", l.Addr().String(): "not in network.allow"} {
			id := network + to
			params := command(id, "")
			params["argv"] = []string{"/bin/bash", "-c", connect(to)}
			params["sandbox"] = boxed(dir, network, special("root", "read"))
			params["enforceManagedNetwork"], params["networkProxy"] = true, proxied("full", map[string]string{"127.0.0.1": "allow", "**.example.com": "allow", "other.example": "deny"})
			c.mustCall("process/start", params, nil)
			if output, _ := c.ended(id); !strings.Contains(output, want) {
				t.Errorf("%s: %q", id, output)
			}
		}
	}
	direct := command("direct", "")
	direct["argv"] = []string{"/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" + port + " && echo reached"}
	direct["sandbox"], direct["enforceManagedNetwork"] = boxed(dir, "enabled", special("root", "read")), true
	direct["networkProxy"] = proxied("full", map[string]string{"127.0.0.1": "allow"})
	c.mustCall("process/start", direct, nil)
	if output, _ := c.ended("direct"); strings.Contains(output, "reached") {
		t.Error("a command connects without the proxy")
	}
}

func needsAllowList(t *testing.T) {
	t.Helper()
	needsSandbox(t)
	d, _ := sandbox.ParseDestination("127.0.0.1:1")
	c := &sandbox.Config{FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.AllowList, Allow: []sandbox.Destination{d}}}
	if _, err := host.EnforceSandbox(c); err != nil {
		t.Skip("no list of destinations on this machine:", err)
	}
}

// TestNetworkProxyNotMapped checks that nothing runs with a managed network that cannot be expressed.
func TestNetworkProxyNotMapped(t *testing.T) {
	t.Parallel()
	c := serve(t).client()
	dir := t.TempDir()
	allow := map[string]string{"example.com": "allow"}
	many := map[string]string{}
	for i := range sandbox.MaxDestinations + 1 {
		many[fmt.Sprintf("x%d.example", i)] = "allow"
	}
	for name, change := range map[string][]any{
		"no list":         {"enforceManagedNetwork", true},
		"off":             {"enforceManagedNetwork", true, "networkProxy", map[string]any{"proxy": map[string]any{"enabled": false}}},
		"of the client":   {"enforceManagedNetwork", true, "managedNetwork", map[string]any{"loopbackPorts": []int{1}}},
		"both":            {"networkProxy", proxied("full", allow), "managedNetwork", map[string]any{"loopbackPorts": []int{1}}},
		"limited":         {"networkProxy", proxied("limited", allow)},
		"all":             {"networkProxy", proxied("full", map[string]string{"*": "allow"})},
		"within":          {"networkProxy", proxied("full", map[string]string{"*": "allow", "a.example": "deny"})},
		"denied below":    {"networkProxy", proxied("full", map[string]string{"*.a.example": "allow", "b.a.example": "deny"})},
		"denied above":    {"networkProxy", proxied("full", map[string]string{"b.a.example": "allow", "**.a.example": "none"})},
		"other case":      {"networkProxy", proxied("full", map[string]string{"A.example": "allow", "a.EXAMPLE": "deny"})},
		"other form":      {"networkProxy", proxied("full", map[string]string{"::ffff:192.0.2.1": "allow", "192.0.2.1": "deny"})},
		"other access":    {"networkProxy", proxied("full", map[string]string{"**.a.example": "allow", "a.example": "Allow"})},
		"port":            {"networkProxy", proxied("full", map[string]string{"a.example:443": "allow"})},
		"rooted":          {"networkProxy", proxied("full", map[string]string{"a.example.": "allow"})},
		"numeric":         {"networkProxy", proxied("full", map[string]string{"0x7f.1": "allow"})},
		"zone":            {"networkProxy", proxied("full", map[string]string{"fe80::1%lo": "allow"})},
		"stars":           {"networkProxy", proxied("full", map[string]string{"**.*.example": "allow"})},
		"glob":            {"networkProxy", proxied("full", map[string]string{"a*.example": "allow"})},
		"too many":        {"networkProxy", proxied("full", many)},
		"without sandbox": {"networkProxy", proxied("full", allow), "sandbox", nil},
	} {
		params := command(name, "echo x >"+dir+"/file")
		params["sandbox"] = boxed(dir, "enabled", special("root", "write"))
		if text := c.refused("process/start", with(params, change...), -32602); !strings.Contains(text, "disposable container or VM") {
			t.Errorf("%s: %s", name, text)
		}
		if _, err := os.Stat(dir + "/file"); err == nil {
			t.Fatalf("%s: the command has run", name)
		}
	}
}

// TestNetworkProxyInRequiredSandbox checks that nothing runs with domains beyond what a required sandbox permits.
func TestNetworkProxyInRequiredSandbox(t *testing.T) {
	t.Parallel()
	needsAllowList(t)
	listed, err := sandbox.ParseDestination("*.example.com:*")
	if err != nil {
		t.Fatal(err)
	}
	profiles := sandbox.NewProfiles(nil, map[string]sandbox.Partial{
		"none": {Network: sandbox.Network{Mode: sandbox.NoNetwork}, FilesDefault: sandbox.Read},
		"some": {Network: sandbox.Network{Mode: sandbox.AllowList, Allow: []sandbox.Destination{listed}}, FilesDefault: sandbox.Read, Tmp: sandbox.Shared},
	})
	dir := t.TempDir()
	for profile, permitted := range map[string]string{"none": "", "some": "a.example.com"} {
		c := serve(t, func(set *settings) {
			set.Server.Sandboxes.Default, set.Server.Sandboxes.Profiles = profile, func() *sandbox.Profiles { return profiles }
		}).client()
		for _, domain := range []string{"a.example.com", "**.example.com", "127.0.0.1"} {
			params := command(domain, "exit 3")
			params["sandbox"] = boxed(dir, "enabled", special("root", "read"))
			params["enforceManagedNetwork"], params["networkProxy"] = true, proxied("full", map[string]string{domain: "allow"})
			if domain != permitted {
				c.refused("process/start", params, -32602)
				continue
			}
			c.mustCall("process/start", params, nil)
			if _, code := c.ended(domain); code != 3 {
				t.Errorf("%s: exit code %d", domain, code)
			}
		}
	}
}
