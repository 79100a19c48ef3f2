//go:build linux

package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/policy"
)

// TestSandboxOfUser: a command that a policy runs as another user, in a sandbox that the policy requires,
// has the rights of that user, and of these only what the sandbox permits.
func TestSandboxOfUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run commands as other users")
	}
	for by, host := range map[sandbox.Mechanism]func(t *testing.T) *process.Host{
		sandbox.BubblewrapLandlock: func(t *testing.T) *process.Host {
			needsSandbox(t, string(sandbox.BubblewrapLandlock))
			return host
		},
		sandbox.Landlock: hostWithoutBubblewrap,
	} {
		t.Run(string(by), func(t *testing.T) { testSandboxOfUser(t, host(t), by) })
	}
}

func testSandboxOfUser(t *testing.T, h *process.Host, by sandbox.Mechanism) {
	const uid, gid = 65533, 65532
	root := t.TempDir()
	err := os.Chmod(filepath.Dir(root), 0o755)
	for _, dir := range []string{"work", "outside", "hidden"} { // the user may do everything there
		path := filepath.Join(root, dir)
		err = errors.Join(err, os.Mkdir(path, 0o700), os.Chown(path, uid, gid))
	}
	err = errors.Join(err, os.WriteFile(root+"/work/of-root", nil, 0o600), os.WriteFile(root+"/hidden/file", []byte("secret"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	text := "[default]\nshell = true\nuser = 'other'\ndirectories = ['" + root + "']\nsandbox = 'shared'\n"
	parsed, err := policy.Parse("policy", []byte(text), policy.Options{
		Account: func(string) (process.Account, error) {
			return process.Account{User: process.User{UID: uid, GID: gid}, Name: "other"}, nil
		},
		HasProfile: func(string) bool { return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	guard := policy.NewGuard(parsed, nil)
	profiles := sandbox.NewProfiles([]string{root + "/hidden"}, map[string]sandbox.Partial{"shared": {
		Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}}, Processes: sandbox.Shared, Tmp: sandbox.Shared, Metadata: sandbox.FullMetadata,
	}})
	p := serve(t, func(set *settings) {
		set.Session.Host = h
		set.Server.Restrict = guard.Restrict
		set.Server.Sandboxes.Profiles = func() *sandbox.Profiles { return profiles }
	}).dial(t)
	try := func(rules ...object) rpc.Captured {
		t.Helper()
		var done rpc.Captured
		params := object{"cwd": root + "/work", "wait": true, "command": `exec 2>/dev/null; id -u; id -g; echo x >new && echo work
			cat of-root && echo root; echo x >../outside/new && echo outside; cat ../hidden/file`}
		if rules != nil {
			params["sandbox"] = object{"files": rules}
		}
		p.ok("execute", params, &done)
		return done
	}
	done := try()
	if *done.Stdout != "65533\n65532\nwork\n" || done.Sandbox == nil || done.Sandbox.Files.By != string(by) {
		t.Errorf("%q, %+v", *done.Stdout, done.Sandbox)
	}
	info, err := os.Stat(root + "/work/new")
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != uid {
		t.Errorf("%+v, %v", info, err)
	}
	if done := try(object{"path": ".", "access": "read"}); *done.Stdout != "65533\n65532\n" {
		t.Errorf("tightened: %q", *done.Stdout)
	}
	e := p.fails(rpc.CodeForbidden, "execute", object{
		"command": "true", "cwd": root + "/work", "sandbox": object{"files": []object{{"path": root + "/outside", "access": "write"}}},
	})
	if e.Data["rule"] != "default.sandbox" || !strings.HasPrefix(e.Data["field"].(string), "sandbox.files[0]") {
		t.Errorf("%+v", e)
	}
}
