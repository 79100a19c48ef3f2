//go:build linux

package server_test

import (
	"sync/atomic"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// TestSandboxOfQueuedSession: a session that was queued starts with a sandbox by the profiles that are
// in force when it has a slot, or fails as a new execute would.
func TestSandboxOfQueuedSession(t *testing.T) {
	needsSandbox(t, string(sandbox.BubblewrapLandlock))
	destination, err := sandbox.ParseDestination("a.example:1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		require func(*settings)
		code    int
	}{
		{"server", func(set *settings) { set.Server.Sandboxes.Default = "net" }, rpc.CodeInvalidParams},
		{"policy", func(set *settings) {
			set.Server.Restrict = func(_ access.Identity, _ *rpc.ExecuteParams, spec *session.Spec) error {
				spec.Floor = session.Floor{Profile: "net", Rule: "default.sandbox"}
				return nil
			}
		}, rpc.CodeForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			var profiles atomic.Pointer[sandbox.Profiles]
			define := func(n sandbox.Network) {
				profiles.Store(sandbox.NewProfiles(nil, map[string]sandbox.Partial{"net": {Network: n}}))
			}
			define(sandbox.Network{Mode: sandbox.FullNetwork})
			s := serve(t, oneSlot, c.require, func(set *settings) { set.Server.Sandboxes.Profiles = profiles.Load })
			p := s.dial(t)
			busy := p.start(sleeper)
			asks := object{"command": "true", "cwd": "/usr", "sandbox": object{"network": "full"}}
			beyond := p.queued(asks)
			inherits := p.queued(object{"command": `test -n "$HTTPS_PROXY"`, "cwd": "/usr"})
			define(sandbox.Network{Mode: sandbox.AllowList, Allow: []sandbox.Destination{destination}})
			p.ok("cancel", object{"session_id": busy}, nil)
			e := p.failed(beyond)
			want := p.fails(c.code, "execute", asks)
			if e.Code != c.code || e.Message != want.Message || want.Data["field"] != "sandbox.network" {
				t.Errorf("%+v, a new execute: %+v", e, want)
			}
			var done rpc.Captured
			p.ok("wait", object{"session_id": inherits}, &done)
			if done.ExitCode == nil || *done.ExitCode != 0 || done.Sandbox == nil || done.Sandbox.Network.Mode != string(sandbox.AllowList) {
				t.Errorf("%+v", done)
			}
			s.idle()
		})
	}
}
