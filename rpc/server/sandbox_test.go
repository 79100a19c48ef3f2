package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
)

// makeSandbox returns the sandbox of an execute whose param is text, "" for none.
func makeSandbox(t *testing.T, byServer, byPolicy, text string) (*sandbox.Config, error) {
	t.Helper()
	var p rpc.ExecuteParams
	if text != "" {
		text = `,"sandbox":` + text
	}
	if err := rpc.DecodeParams([]byte(`{"command":"true"`+text+`}`), &p, false); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	profiles := sandbox.NewProfiles([]string{"/secret"}, map[string]sandbox.Partial{
		"net": {Network: sandbox.Network{Mode: sandbox.FullNetwork}},
		"dir": {Files: []sandbox.Rule{{Path: "/w/p", Access: sandbox.Write}, {Path: "/x", Access: sandbox.Write}}},
	})
	x := sandboxing{profiles: profiles, at: sandbox.Place{Dir: "/w/p", Home: "/home/u"}, rule: "default.sandbox"}
	if err := x.require(byServer, byPolicy); err != nil {
		return nil, err
	}
	return x.complete(p.Sandbox)
}

// TestFloors: the server and the policy may each require a sandbox; then both apply.
func TestFloors(t *testing.T) {
	for _, c := range []struct {
		byServer, byPolicy, sandbox string
		want                        string // "" is none
	}{
		{"", "", ``, ""},
		{"", "", `"off"`, ""},
		{"off", "", ``, ""},
		{"off", "off", `"off"`, ""},
		{"", "", `{}`, "read read none"},
		{"", "", `"workspace"`, "write read none"},
		{"workspace", "", ``, "write read none"},
		{"", "workspace", ``, "write read none"},
		{"workspace", "workspace", `"read-only"`, "read read none"},
		{"workspace", "dir", ``, "write read none"},
		{"dir", "", ``, "write write none"},
		{"workspace", "net", ``, "read read none"},
		{"net", "net", ``, "read read full"},
		{"net", "off", `{"network":{"allow":["a.org:1"]}}`, "read read allow"},
		{"workspace", "read-only", `{"files":[{"path":".","access":"read"}]}`, "read read none"},
	} {
		got := ""
		config, err := makeSandbox(t, c.byServer, c.byPolicy, c.sandbox)
		if config != nil {
			got = fmt.Sprintf("%s %s %s", config.At("/w/p"), config.At("/x"), config.Network.Mode)
		}
		if err != nil || got != c.want {
			t.Errorf("%q %q %s: %q, want %q; %v", c.byServer, c.byPolicy, c.sandbox, got, c.want, err)
		}
		if config != nil && config.At("/secret/x") != sandbox.None {
			t.Errorf("%q %q %s: what the operator denies is readable", c.byServer, c.byPolicy, c.sandbox)
		}
	}
}

// TestSandboxErrors: what exceeds the floor of a policy is forbidden by its rule, and everything else
// is a wrong param. Neither says what is permitted.
func TestSandboxErrors(t *testing.T) {
	const forbidden, invalid = rpc.CodeForbidden, rpc.CodeInvalidParams
	for _, c := range []struct {
		byServer, byPolicy, sandbox string
		code                        int
		field                       string
	}{
		{"workspace", "", `"off"`, invalid, "sandbox.profile"},
		{"", "workspace", `"off"`, forbidden, "sandbox.profile"},
		{"workspace", "", `{"files":[{"path":".","access":"write"},{"path":"/x","access":"write"}]}`, invalid, "sandbox.files[1]"},
		{"", "workspace", `{"files":[{"path":"/x","access":"write"}]}`, forbidden, "sandbox.files[0]"},
		{"net", "workspace", `{"files":[{"path":"/x","access":"write"}]}`, forbidden, "sandbox.files[0]"},
		{"read-only", "dir", `{"files":[{"path":"/x","access":"write"}]}`, invalid, "sandbox.files[0]"},
		{"", "read-only", `"net"`, forbidden, "sandbox.profile"},
		{"", "read-only", `{"network":"full"}`, forbidden, "sandbox.network"},
		{"", "", `{"files":[{"path":"/secret/x","access":"read"}]}`, invalid, "sandbox.files[0]"},
		{"", "", `"other"`, invalid, "sandbox.profile"},
		{"other", "", ``, invalid, "sandbox"},
		{"", "other", `"read-only"`, invalid, "sandbox"},
		{"", "", `{"network":{"allow":["a.org:1","b"]}}`, invalid, "sandbox.network.allow[1]"},
		{"", "", `{"files":[{"path":"/a","access":"read"},{"path":"/a/","access":"none"}]}`, invalid, "sandbox.files[1].path"},
		{"", "", `{"files":[{"path":"/\u0000","access":"read"}]}`, invalid, "sandbox.files[0].path"},
	} {
		config, err := makeSandbox(t, c.byServer, c.byPolicy, c.sandbox)
		if err == nil {
			t.Errorf("%q %q %s: %+v", c.byServer, c.byPolicy, c.sandbox, config)
			continue
		}
		e, _ := rpcError(err, "")
		data, _ := e.Data.(rpc.Data)
		if e.Code != c.code || data["field"] != c.field || c.code == forbidden && data["rule"] != "default.sandbox" {
			t.Errorf("%q %q %s: %v %v, want %d %s", c.byServer, c.byPolicy, c.sandbox, e, data, c.code, c.field)
		}
	}
}

// TestErrorsOfStarts: an error of the enforcement names the field, and no path of the operator.
func TestErrorsOfStarts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&sandbox.NotEnforceableError{Field: "network", Why: "no namespaces"}, "sandbox.network cannot be enforced on this machine: no namespaces (-32602)"},
		{&sandbox.NotEnforceableError{Why: "no namespaces"}, "sandbox cannot be enforced on this machine: no namespaces (-32602)"},
		{&sandbox.PathError{Path: "/p", Err: errors.New("gone"), Field: "files[2].path"}, "sandbox.files[2].path cannot be used: gone (-32602)"},
		{&sandbox.PathError{Path: "/p", Err: errors.New("gone"), Field: "profile"}, "sandbox.profile has a path that cannot be used: gone (-32602)"},
		{&sandbox.PathError{Path: "/p", Err: errors.New("gone")}, "sandbox has a path that cannot be used: gone (-32602)"},
		{&process.SandboxError{Step: "making it", Why: errors.New("/usr/bin/bwrap failed")}, "The sandbox cannot be made: making it failed (-32008)"},
		{&process.SandboxError{Step: "making it", Errno: syscall.EPERM}, "The sandbox cannot be made: making it failed: operation not permitted (-32008)"},
		{&process.SandboxError{Step: "making it", Errno: syscall.ETIMEDOUT}, "The sandbox cannot be made: making it took too long (-32008)"},
		{&sandbox.ExceedsError{Field: "files[0]"}, "sandbox.files[0] asks for more than the server permits (-32602)"},
	} {
		if e, known := rpcError(fmt.Errorf("start: %w", c.err), ""); !known || e.Error() != c.want {
			t.Errorf("%v, want %s", e, c.want)
		}
	}
}

// TestSandboxCapabilities: what can be enforced is announced, and nothing without Support.
func TestSandboxCapabilities(t *testing.T) {
	o := Sandboxes{}
	if got := o.capabilities(); got != nil {
		t.Error(got)
	}
	o.Support = func(context.Context) sandbox.Support {
		return sandbox.Support{By: map[sandbox.Part]sandbox.Mechanism{
			sandbox.FilesPart: sandbox.Landlock, sandbox.NetworkPart: sandbox.Seccomp, sandbox.TmpPart: sandbox.Bubblewrap,
		}}
	}
	if got := o.capabilities(); !slices.Equal(got, []string{"sandbox:files", "sandbox:network"}) {
		t.Error(got)
	}
}
