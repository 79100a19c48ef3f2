//go:build linux

package server_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

// TestPrincipalsWithUsersAreIsolated checks that neither a principal nor its command reaches the
// session, the files or the processes of another, nor those of the server, if a policy gives each
// principal a user.
func TestPrincipalsWithUsersAreIsolated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run commands as other users")
	}
	users := map[string]*process.User{"a": {UID: 65533, GID: 65533}, "b": {UID: 65529, GID: 65529}}
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	token := filepath.Join(dir, "token")
	if err := errors.Join(os.WriteFile(token, []byte("secret"), 0o600), os.Chmod(dir, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(set *settings) {
		set.Server.Auth = byHeader{}
		set.Server.Restrict = func(id access.Identity, _ *rpc.ExecuteParams, spec *session.Spec) error {
			spec.Program.User = users[id.Principal]
			return nil
		}
	})
	a, b := s.dialAs(t, "a"), s.dialAs(t, "b")
	victim := b.start(object{"command": "umask 077; echo b >mine; id -u; exec cat", "cwd": dir, "stdin": "pipe"})
	var status rpc.StatusResult
	b.ok("status", object{"session_id": victim}, &status)
	for _, method := range []string{"status", "attach", "wait", "read", "cancel"} {
		if e := a.fails(rpc.CodeSessionNotFound, method, object{"session_id": victim}); e.Data["kind"] != "session_not_found" {
			t.Errorf("%s: %+v", method, e)
		}
	}
	var list rpc.ListResult
	if a.ok("list", nil, &list); len(list.Sessions) > 0 {
		t.Errorf("the other principal lists %+v", list)
	}
	attacks := []string{"cat " + token, "cat mine", "rm -f mine", "rm -f " + token}
	for _, pid := range []int{status.PID, os.Getpid()} {
		attacks = append(attacks, fmt.Sprintf("kill -KILL %d", pid), fmt.Sprintf("cat /proc/%d/environ", pid),
			fmt.Sprintf("ls /proc/%d/fd/", pid), fmt.Sprintf("echo x >/proc/%d/fd/1", pid))
	}
	var script strings.Builder
	for _, attack := range attacks {
		fmt.Fprintf(&script, "if (%s) >/dev/null 2>&1; then echo '%s'; fi\n", attack, attack)
	}
	x := a.run(object{"command": script.String() + "id -u", "cwd": dir})
	if x.stdout() != "65533\n" {
		t.Errorf("succeeded: %q", x.stdout())
	}
	b.ok("write", object{"session_id": victim, "data": "alive\n", "eof": true}, nil)
	y := &transcript{id: victim}
	b.follow(y)
	if y.stdout() != "65529\nalive\n" || y.record.ExitCode == nil || *y.record.ExitCode != 0 {
		t.Errorf("the victim: %q, %+v", y.stdout(), y.record)
	}
}
