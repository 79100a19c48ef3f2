package landlock

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/runas"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// change is a system call on one or two paths of a tree.
func change(call func(paths ...string) error, names ...string) func(*tree) error {
	return func(tr *tree) error {
		var paths []string
		for _, name := range names {
			paths = append(paths, tr.path(name))
		}
		return call(paths...)
	}
}

func mkdir(p ...string) error    { return unix.Mkdir(p[0], 0o755) }
func rmdir(p ...string) error    { return unix.Rmdir(p[0]) }
func unlink(p ...string) error   { return unix.Unlink(p[0]) }
func truncate(p ...string) error { return unix.Truncate(p[0], 0) }
func mkfifo(p ...string) error   { return unix.Mkfifo(p[0], 0o600) }
func symlink(p ...string) error  { return unix.Symlink("target", p[0]) }
func rename(p ...string) error   { return unix.Rename(p[0], p[1]) }
func link(p ...string) error     { return unix.Link(p[0], p[1]) }
func exchange(p ...string) error {
	return unix.Renameat2(unix.AT_FDCWD, p[0], unix.AT_FDCWD, p[1], unix.RENAME_EXCHANGE)
}

// execute runs a program as a child of this thread.
func execute(p ...string) error { return exec.Command(p[0]).Run() }

func bindSocket(p ...string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: p[0]})
}

// TestChange makes attempts to change directories, to move and link files, and to execute.
func TestChange(t *testing.T) {
	needs(t, MinAlone)
	eachUser(t, func(t *testing.T, user *runas.User) {
		run(t, user, alone, []attempt{
			{"mkdir", change(mkdir, "w/d"), 0},
			{"rmdir", change(rmdir, "w/d"), 0},
			{"mkfifo", change(mkfifo, "w/f"), 0},
			{"symlink", change(symlink, "w/s"), 0},
			{"socket", change(bindSocket, "w/sock"), 0},
			{"link", change(link, "w/file", "w/hard"), 0},
			{"link to another directory", change(link, "w/file", "w/sub/hard"), 0},
			{"rename", change(rename, "w/hard", "w/moved"), 0},
			{"rename to another directory", change(rename, "w/moved", "w/sub/x/moved"), 0},
			{"exchange", change(exchange, "w/sub/x/moved", "w/file2"), 0},
			{"rename a directory", change(rename, "w/sub/x", "w/x"), 0},
			{"unlink", change(unlink, "w/file2"), 0},
			{"truncate", change(truncate, "w/file"), 0},
			{"execute", change(execute, "r/prog"), 0},
			{"execute in w", change(execute, "w/prog"), 0},

			// What Landlock cannot refuse.
			{"attributes of a secret", change(func(p ...string) error { return unix.Stat(p[0], &unix.Stat_t{}) }, "secret/file"), 0},
			{"mode of a secret", change(func(p ...string) error { return unix.Chmod(p[0], 0o600) }, "secret/file"), 0},
			{"times of a secret", change(func(p ...string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, p[0], nil, 0) }, "secret/file"), 0},

			{"mkdir outside", change(mkdir, "r/d"), unix.EACCES},
			{"rmdir outside", change(rmdir, "r/empty"), unix.EACCES},
			{"mkfifo outside", change(mkfifo, "r/f"), unix.EACCES},
			{"symlink outside", change(symlink, "r/s"), unix.EACCES},
			{"socket outside", change(bindSocket, "r/sock"), unix.EACCES},
			{"unlink outside", change(unlink, "r/file4"), unix.EACCES},
			{"truncate outside", change(truncate, "r/file3"), unix.EACCES},
			{"truncate outside through a link", change(truncate, "w/link-r"), unix.EACCES},
			{"link outside", change(link, "r/file", "r/hard"), unix.EACCES},
			{"link into w", change(link, "r/file", "w/from-r"), unix.EXDEV},
			{"link out of w", change(link, "w/file3", "r/from-w"), unix.EACCES},
			{"link secret into w", change(link, "secret/file", "w/from-secret"), unix.EXDEV},
			{"rename outside", change(rename, "r/file2", "r/moved"), unix.EACCES},
			{"rename into w", change(rename, "r/sub", "w/from-r2"), unix.EACCES},
			{"rename out of w", change(rename, "w/file4", "r/from-w2"), unix.EACCES},
			{"rename secret into w", change(rename, "secret/sub", "w/from-secret2"), unix.EACCES},
			{"rename deny into w", change(rename, "deny/sub", "w/from-deny"), unix.EACCES},
			{"execute secret", change(execute, "secret/prog"), unix.EACCES},
			{"execute deny", change(execute, "deny/prog"), unix.EACCES},
			{"execute state", change(execute, "state/prog"), unix.EACCES},
		})
	})
}

// TestKernelFiles makes attempts to open devices and files of the kernel, as root, who may open them.
func TestKernelFiles(t *testing.T) {
	needs(t, ioctlABI)
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may open these files")
	}
	disk := block(t)
	attempts := []attempt{
		{"sysctl", opens("/proc/sys/kernel/printk", unix.O_WRONLY), unix.EACCES},
		{"oom_score_adj of init", opens("/proc/1/oom_score_adj", unix.O_WRONLY), unix.EACCES},
		{"status of init", opens("/proc/1/status", unix.O_RDONLY), 0},
		{"terminal", opens("/dev/ptmx", unix.O_RDWR), unix.EACCES},
		{"terminals", opens("/dev/pts/ptmx", unix.O_PATH), 0},
	}
	if disk != "" {
		attempts = append(attempts,
			attempt{"disk", opens(disk, unix.O_RDONLY), unix.EACCES},
			attempt{"ioctl of a disk", bareIoctl(disk), unix.EACCES})
	}
	var present []attempt
	for _, a := range attempts {
		if err := a.do(nil); !errors.Is(err, unix.ENOENT) {
			present = append(present, a)
		}
	}
	run(t, nil, alone, present)
}

// bareIoctl opens a block device without a right to read or write it, and asks for something.
func bareIoctl(disk string) func(*tree) error {
	return func(*tree) error {
		fd, err := unix.Open(disk, unix.O_ACCMODE|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, err = unix.IoctlGetInt(fd, unix.BLKSSZGET)
		return err
	}
}

// TestBareOpen shows why BareOpen is needed: without ABI 5 a device can be opened for ioctl(2).
func TestBareOpen(t *testing.T) {
	needs(t, MinAlone)
	disk := block(t)
	if disk == "" {
		t.Skip("SKIPPED: there is no block device that this user may open")
	}
	for abi, want := range map[int]unix.Errno{ioctlABI - 1: 0, ioctlABI: unix.EACCES} {
		if abi > ABI() {
			continue
		}
		ruleset := func(*tree) (int, error) { return makeRuleset(shared(), &Options{}, abi) }
		run(t, nil, ruleset, []attempt{{fmt.Sprintf("ioctl with ABI %d", abi), bareIoctl(disk), want}})
	}
}

// block returns a block device, "" if there is none.
func block(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/block")
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if opens("/dev/"+e.Name(), unix.O_RDONLY)(nil) == nil {
			return "/dev/" + e.Name()
		}
	}
	return ""
}

// TestFilesDefaultNone checks that without a default only the rules give access.
func TestFilesDefaultNone(t *testing.T) {
	needs(t, MinAlone)
	only := func(tr *tree) (int, error) {
		return Ruleset(&sandbox.Config{
			Files: []sandbox.Rule{
				{Path: tr.path("w"), Access: sandbox.Write, Missing: sandbox.Refuse},
				{Path: tr.path("r/sub"), Access: sandbox.Read, Missing: sandbox.Refuse},
				{Path: tr.path("r/sub/x"), Access: sandbox.None, Missing: sandbox.Refuse},
				{Path: tr.path("r/file"), Access: sandbox.Write, Missing: sandbox.Refuse},
				{Path: tr.path("r/missing"), Access: sandbox.Write, Missing: sandbox.Skip},
			},
			FilesDefault: sandbox.None, Network: sandbox.Network{Mode: sandbox.FullNetwork},
			Processes: sandbox.Shared, Tmp: sandbox.Shared, Devices: sandbox.MinimalDevices,
		}, Options{Unreadable: []string{tr.path("state"), tr.path("w/missing")}})
	}
	const rd, rw = unix.O_RDONLY, unix.O_RDWR
	eachUser(t, func(t *testing.T, user *runas.User) {
		run(t, user, only, []attempt{
			{"write", opens("w/file", rw), 0},
			{"write a file with a rule", opens("r/file", rw), 0},
			{"truncate it", change(truncate, "r/file"), 0},
			{"read", opens("r/sub/file", rd), 0},
			{"write what may be read", opens("r/sub/file", rw), unix.EACCES},
			{"list what has a secret below", opens("r/sub", rd), unix.EACCES},
			{"secret", opens("r/sub/x/file", rd), unix.EACCES},
			{"list state", opens("state", rd), unix.EACCES},
			{"beside", opens("r/file2", rd), unix.EACCES},
			{"no rule", opens("/etc/passwd", rd), unix.EACCES},
			{"list the root", opens("/", rd), unix.EACCES},
			{"null", opens("/dev/null", rw), 0},
			{"own process", opens("/proc/self/status", rd), 0},
		})
	})
}
