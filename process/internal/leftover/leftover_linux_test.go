package leftover

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

// TestGroupOfAnotherLeader checks that a group is not signaled if its number belongs to another
// leader by now.
func TestGroupOfAnotherLeader(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid := cmd.Process.Pid
	members := func(g groups) (pids []int) {
		if err := g.Each(func(e proctable.Entry) { pids = append(pids, e.PID) }); err != nil {
			t.Error(err)
		}
		return pids
	}
	g := serverwatch.Group{PID: pid, Started: proctable.StartTime(pid)}
	if got := members(groups{g}); len(got) != 1 || got[0] != pid {
		t.Errorf("the group has the members %v, want %d", got, pid)
	}
	g.Started++
	if n, left := memberwise.KillAll(groups{g}, proctest.Patience); n+left > 0 || !proctest.Alive(pid) {
		t.Errorf("killed %d, left %d", n, left)
	}
}

// TestStateOfAnotherUser checks that the state file of another user's server is ignored.
func TestStateOfAnotherUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read all files")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, identity.Name(10)), nil, 0); err != nil {
		t.Fatal(err)
	}
	if r, err := Recover(dir); err != nil || r != (Recovery{}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRecoverIgnoresOtherFiles checks that Recover ignores other files in the state directory, and
// cgroups with other names.
func TestRecoverIgnoresOtherFiles(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	for name, text := range map[string]string{
		"runnel-0000000a":  `{"boot_id":"` + procfs.BootID() + `","cgroups":["` + victim + `"]}`,
		"runnel-0000000b":  "garbage",
		"runnel-0000000c":  "",
		"runnel-xyz":       "",
		"token":            "secret",
		"runnel-0000000d~": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(victim, 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := Recover(dir)
	if err != nil || r != (Recovery{Servers: 1}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	files, _ := os.ReadDir(dir)
	if len(files) != 3 {
		t.Errorf("%v are left", files)
	}
}
