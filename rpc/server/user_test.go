//go:build linux

package server_test

import (
	"os"
	"slices"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// TestUserNeedsPolicy checks that a server without a policy, or whose policy does not set the user,
// refuses one.
func TestUserNeedsPolicy(t *testing.T) {
	for name, restrict := range map[string]func(access.Identity, *rpc.ExecuteParams, *session.Spec) error{
		"no policy":               nil,
		"a policy without a user": func(access.Identity, *rpc.ExecuteParams, *session.Spec) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, func(set *settings) { set.Server.Restrict = restrict }).dial(t)
			e := p.fails(rpc.CodeForbidden, "execute", object{"command": "true", "user": "root"})
			if e.Data["kind"] != "forbidden" || e.Data["rule"] != "user" || e.Data["field"] != "user" {
				t.Errorf("%+v", e)
			}
			if has := slices.Contains(p.hello.Capabilities, "user"); has != (restrict != nil && process.ChangesUser()) {
				t.Errorf("capability user: %v", has)
			}
		})
	}
}

// TestUser checks that a policy can set the user of a command, and the errors of a start.
func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run commands as other users")
	}
	p := serve(t, func(set *settings) {
		set.Server.Restrict = func(_ access.Identity, p *rpc.ExecuteParams, spec *session.Spec) error {
			spec.Program.User = &process.User{UID: 65533, GID: 65532}
			if p.User == "none" {
				spec.Program.User.UID = 1<<32 - 1
			}
			spec.Program.Check = func(o process.Opened) error {
				if o.Dir.Path == "/usr" {
					return rpc.Forbidden("directories", "cwd")
				}
				return nil
			}
			return nil
		}
	}).dial(t)
	if x := p.run(object{"command": "id -u; id -g", "user": "alice", "cwd": "/"}); x.stdout() != "65533\n65532\n" {
		t.Errorf("%q, %+v", x.stdout(), x.record)
	}
	if e := p.fails(rpc.CodeSpawnFailed, "execute", object{"command": "true", "user": "none", "cwd": "/"}); e.Data["errno"] != "EINVAL" {
		t.Errorf("%+v", e)
	}
	if e := p.fails(rpc.CodeForbidden, "execute", object{"command": "true", "cwd": "/usr/bin/.."}); e.Data["field"] != "cwd" {
		t.Errorf("%+v", e)
	}
	if e := p.fails(rpc.CodeSpawnFailed, "execute", object{"command": "true", "cwd": "/root"}); e.Data["errno"] != "EACCES" || e.Data["path"] != "/root" {
		t.Errorf("%+v", e)
	}
}
