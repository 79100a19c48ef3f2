//go:build linux

package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/policy"
)

// restricted serves with a policy in which $ROOT is a directory of the test.
func restricted(t *testing.T, root, text string) *peer {
	t.Helper()
	p, err := policy.Parse("policy", []byte(strings.ReplaceAll(text, "$ROOT", root)), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	guard := policy.NewGuard(p, nil)
	return serve(t, func(set *settings) {
		set.Server.Authorize, set.Server.Restrict = guard.Authorize, guard.Restrict
	}).dial(t)
}

// TestPolicySwappedDirectory: while the directory is exchanged for a symbolic link and back, a
// command is refused, or runs in a directory that the policy permits.
func TestPolicySwappedDirectory(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"work/sub", "outside"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := restricted(t, root, "[default]\nshell = true\ndirectories = ['$ROOT/work']")
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() { swap(t, filepath.Join(root, "work"), stop) })
	defer swapping.Wait()
	defer close(stop)
	inside, refused := 0, 0
	for i := 0; i < 500 && (i < 40 || inside == 0 || refused == 0); i++ {
		m := p.reply(p.request("execute", object{"command": "pwd -P", "cwd": root + "/work/sub", "wait": true}))
		if m.Error != nil {
			if code := m.Error.Code; code != rpc.CodeForbidden && code != rpc.CodeSpawnFailed {
				t.Fatalf("%+v", m.Error)
			}
			refused++
			continue
		}
		var r rpc.Captured
		p.decode(m.Result, &r)
		if *r.Stdout != root+"/work/sub\n" && *r.Stdout != root+"/work/saved\n" {
			t.Fatalf("runs in %q", *r.Stdout)
		}
		inside++
	}
	t.Logf("%d inside, %d refused", inside, refused)
}

// TestPolicyDropsTerminalPath: a TERM that is a path is not that of a terminal either, where the policy
// leaves out what it does not accept.
func TestPolicyDropsTerminalPath(t *testing.T) {
	p := restricted(t, "", "[default]\nshell = true\ndirectories = ['/']\ndirectory = '/'\nenvironment = {drop = true}")
	var r rpc.Captured
	p.ok("execute", object{
		"command": "echo $TERM", "wait": true, "pty": object{"rows": 24, "cols": 80}, "env": object{"TERM": "../../tmp/x"},
	}, &r)
	if *r.PTY != "xterm-256color\r\n" {
		t.Errorf("TERM is %q", *r.PTY)
	}
}

// swap exchanges work/sub for a link to the directory outside, and back.
func swap(t *testing.T, work string, stop <-chan struct{}) {
	sub, saved := filepath.Join(work, "sub"), filepath.Join(work, "saved")
	for {
		select {
		case <-stop:
			return
		default:
		}
		for _, err := range []error{
			os.Rename(sub, saved), os.Symlink("../outside", sub), os.Remove(sub), os.Rename(saved, sub),
		} {
			if err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// TestPolicyOfAScreen: rows and cols of attach are a control, which a policy may not permit.
func TestPolicyOfAScreen(t *testing.T) {
	p := restricted(t, t.TempDir(), "[default]\nshell = true\ndirectories = ['/']\nmethods = ['execute', 'attach', 'cancel']")
	id := p.start(object{"command": "exec sleep 1000", "pty": object{"rows": 24, "cols": 80}})
	p.fails(rpc.CodeForbidden, "attach", object{"session_id": id, "screen": true, "rows": 10, "cols": 20})
	p.ok("attach", object{"session_id": id, "screen": true}, nil)
	p.ok("cancel", object{"session_id": id}, nil)
}
