package bubblewrap

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/runas"
)

// TestReplicaMode checks that a replica permits what its directory does.
func TestReplicaMode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can make directories of others")
	}
	user := &runas.User{UID: nobody, GID: nobody}
	for _, test := range []struct {
		mode, uid, gid int
		asUser, userNS bool
		want           uint32
	}{
		{0o755, 0, 0, false, false, 0o755},
		{0o755, nobody, 1, false, true, 0o755},
		{0o700, 0, 0, false, false, 0o700},
		{0o500, 0, 0, false, false, 0o500},
		{0o750, 0, 0, false, false, 0},
		{0o711, 0, 0, false, false, 0},
		{0o705, 0, 0, false, false, 0},
		{0o750, 0, 0, false, true, 0o700},
		{0o700, nobody, nobody, false, true, 0},
		{0o750, 0, nobody, true, true, 0o700},
		{0o755, 0, nobody, true, true, 0o755},
		{0o700, nobody, 0, true, true, 0o700},
		{0o700, 0, nobody, true, true, 0},
		{0o705, 0, nobody, true, true, 0},
		{0o740, 0, nobody, true, true, 0},
	} {
		dir := t.TempDir()
		if err := os.Chown(dir, test.uid, test.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, os.FileMode(test.mode)); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := &Config{UserNS: test.userNS}
		got := uint32(0)
		proctest.OnThread(func() {
			if test.asUser {
				if errno := user.Become(); errno != 0 {
					t.Error(errno)
				}
			}
			got = c.replicaMode(fd)
		})
		_ = unix.Close(fd)
		if got != test.want {
			t.Errorf("%+v: %#o", test, got)
		}
	}
}
