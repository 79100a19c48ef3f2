package runas

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFiles checks the rights for the file system within Files, and that no thread keeps them.
func TestFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may become another user")
	}
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(dir, "private")
	if err := os.WriteFile(private, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	group := filepath.Join(dir, "group")
	if err := os.WriteFile(group, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(group, 0, 4321); err != nil {
		t.Fatal(err)
	}
	before, err := ownCapabilities()
	if err != nil {
		t.Fatal(err)
	}
	readable := func(path string) bool {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		_ = unix.Close(fd)
		return err == nil
	}
	u := &User{UID: 65533, GID: 65532, Groups: []uint32{4321}}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			var st unix.Stat_t
			made := filepath.Join(dir, string(rune('a'+i)))
			err := u.Files(func() {
				if readable(private) || !readable(group) {
					t.Errorf("private is readable: %v, group is readable: %v", readable(private), readable(group))
				}
				if ruid, euid, suid := unix.Getresuid(); ruid != 0 || euid != 0 || suid != 0 {
					t.Errorf("the user ids are %d %d %d: the user could signal the thread", ruid, euid, suid)
				}
				fd, err := unix.Open(made, unix.O_CREAT|unix.O_CLOEXEC, 0o600)
				if err != nil {
					t.Error(err)
				}
				_ = unix.Fstat(fd, &st)
				_ = unix.Close(fd)
			})
			if err != nil || st.Uid != u.UID || st.Gid != u.GID {
				t.Errorf("a new file belongs to %d:%d, %v", st.Uid, st.Gid, err)
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			caps, _ := ownCapabilities()
			groups, _ := threadGroups()
			if own, _ := os.Getgroups(); !readable(private) || caps != before || len(own) != len(groups) || slices.Contains(groups, 4321) {
				t.Errorf("after Files: capabilities %x, groups %v", caps, groups)
			}
		})
	}
	all.Wait()
	tids, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, tid := range tids {
		status, err := os.ReadFile("/proc/self/task/" + tid.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		for _, name := range []string{"\nUid:", "\nGid:", "\nGroups:", "\nCapEff:", "\nCapPrm:"} {
			if line(status, name) != line(want, name) {
				t.Errorf("thread %s: %q, want %q", tid.Name(), line(status, name), line(want, name))
			}
		}
	}
}

// line returns the line of a status file that begins with name, which begins with a newline.
func line(text []byte, name string) string {
	_, rest, _ := strings.Cut(string(text), name)
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// TestFilesOfRootAndOfNone checks the two users that keep the capabilities.
func TestFilesOfRootAndOfNone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may become another user")
	}
	for _, u := range []*User{nil, {}} {
		ran := false
		err := u.Files(func() {
			caps, _ := ownCapabilities()
			ran = caps.effective(unix.CAP_DAC_OVERRIDE)
		})
		if err != nil || !ran {
			t.Errorf("user %+v: ran with capabilities %v, %v", u, ran, err)
		}
	}
}
