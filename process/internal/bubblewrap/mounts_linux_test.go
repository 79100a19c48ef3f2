package bubblewrap

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

func TestLayout(t *testing.T) {
	dir := t.TempDir() // for Hidden, which has to exist
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	beside := dir + ".beside"
	if err := os.WriteFile(beside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	keep := func(fd int, err error) (int, error) {
		if err == nil {
			t.Cleanup(func() { _ = unix.Close(fd) })
		}
		return fd, err
	}
	read := func(path string) Bind { return Bind{Path: path, FD: 7, Access: sandbox.Read, Dir: true} }
	write := func(path string) Bind { return Bind{Path: path, FD: 8, Access: sandbox.Write, Dir: true} }
	none := func(path string) Bind { return Bind{Path: path, FD: -1, Access: sandbox.None, Dir: true} }
	for name, test := range map[string]struct {
		c    Config
		want string // --dev, --proc and what belongs to it, and the private directories are left out
	}{
		"read":        {Config{Sandbox: &sandbox.Config{}}, "--ro-bind / /"},
		"none":        {Config{Sandbox: &sandbox.Config{FilesDefault: sandbox.None}}, "--remount-ro /"},
		"order":       {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{write("/a/b/c"), none("/a/b"), read("/a")}}, "--ro-bind / / --ro-bind-fd 107 /a --perms 0111 --tmpfs /a/b --bind-fd 108 /a/b/c --remount-ro /a/b"},
		"none file":   {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{{Path: "/a/f", FD: -1, Access: sandbox.None}}}, "--ro-bind / / --ro-bind /dev/null /a/f"},
		"none twice":  {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{none("/a"), none("/a/b")}}, "--ro-bind / / --perms 0000 --tmpfs /a --remount-ro /a"},
		"not below":   {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{none("/a"), read("/ab")}}, "--ro-bind / / --perms 0000 --tmpfs /a --ro-bind-fd 107 /ab --remount-ro /a"},
		"only rules":  {Config{Sandbox: &sandbox.Config{FilesDefault: sandbox.None}, Binds: []Bind{none("/a"), read("/a/b")}, Links: []Link{{"/l", "a/b"}, {"/a/b/l", "x"}}}, "--symlink a/b /l --perms 0755 --dir /a --ro-bind-fd 107 /a/b --remount-ro /"},
		"protected":   {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{write("/a"), read("/a/b/c"), none("/a/b/d/e"), write("/a/x/y")}}, "--ro-bind / / --bind-fd 108 /a --bind /a/b /a/b --ro-bind-fd 107 /a/b/c --bind-fd 108 /a/x/y --bind /a/b/d /a/b/d --perms 0000 --tmpfs /a/b/d/e --remount-ro /a/b/d/e"},
		"root":        {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{write("/")}}, "--bind-fd 108 / --ro-bind /sys /sys"},
		"below /proc": {Config{Sandbox: &sandbox.Config{}, Binds: []Bind{read("/proc/x"), none("/proc/y")}}, "--ro-bind / / --perms 0000 --tmpfs /proc/y --remount-ro /proc/y"},
		"tmp":         {Config{Sandbox: &sandbox.Config{Tmp: sandbox.Private}, Binds: []Bind{read("/tmp"), write("/tmp/x"), none("/tmp/y"), none("/tmp/x/y")}}, "--ro-bind / / --bind-fd 108 /tmp/x --perms 0000 --tmpfs /tmp/x/y --remount-ro /tmp/x/y"},
		"no tmp":      {Config{Sandbox: &sandbox.Config{Tmp: sandbox.Private}, Binds: []Bind{none("/tmp")}}, "--ro-bind / / --perms 0000 --tmpfs /tmp --remount-ro /tmp"},
		"hidden": {Config{Sandbox: &sandbox.Config{}, Hidden: []string{dir, dir + "/file", "/nonexistent"}, Binds: []Bind{none(dir + "/x")}},
			"--ro-bind / / --perms 0000 --tmpfs DIR --remount-ro DIR"},
		"anchors": {Config{Sandbox: &sandbox.Config{}, Hidden: []string{dir, beside}, Binds: []Bind{write("/")}},
			"--bind-fd 108 / --ro-bind /sys /sys ANCHORS --perms 0000 --tmpfs DIR --ro-bind /dev/null DIR.beside --remount-ro DIR"},
		"hidden file": {Config{Sandbox: &sandbox.Config{}, Hidden: []string{dir + "/file"}},
			"--ro-bind / / --perms 0755 --tmpfs DIR --ro-bind /dev/null DIR/file --remount-ro DIR"},
	} {
		mounts, err := test.c.layout(t.Context(), nil, keep)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mounts = slices.DeleteFunc(mounts, func(m mount) bool {
			return m.kind == scratch || m.kind == devices || m.kind == processes || m.kind == outerProc
		})
		got := strings.Join(arguments(mounts, func(fd int) int { return 100 + fd }), " ")
		var anchors []string
		for parent := filepath.Dir(dir); parent != "/"; parent = filepath.Dir(parent) {
			anchors = append([]string{"--bind " + parent + " " + parent}, anchors...)
		}
		want := strings.ReplaceAll(test.want, "ANCHORS", strings.Join(anchors, " "))
		if want = strings.ReplaceAll(want, "DIR", dir); got != want {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
}

func TestSystemMounts(t *testing.T) {
	for _, test := range []struct {
		processes, tmp sandbox.Scope
		superuser      bool
		want           string
	}{
		{sandbox.Own, sandbox.Shared, false, "--dev /dev --proc /proc --perms 1777 --tmpfs /dev/shm --remount-ro /dev --remount-ro /"},
		{sandbox.Own, sandbox.Shared, true, "--dev /dev --proc /proc --perms 1777 --tmpfs /dev/shm --remount-ro /dev --remount-ro /proc --remount-ro /"},
		{sandbox.Shared, sandbox.Private, true, "--dev /dev --perms 1777 --tmpfs /tmp --perms 0755 --dir /var --ro-bind /proc /proc --perms 1777 --tmpfs /dev/shm --perms 1777 --tmpfs /var/tmp --remount-ro /dev --remount-ro /"},
	} {
		c := Config{Superuser: test.superuser, Sandbox: &sandbox.Config{FilesDefault: sandbox.None, Processes: test.processes, Tmp: test.tmp}}
		mounts, err := c.layout(t.Context(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(arguments(mounts, nil), " "); got != test.want {
			t.Errorf("%s, want\n%s", got, test.want)
		}
	}
}

func TestOptions(t *testing.T) {
	always := "--cap-drop ALL --unshare-ipc --unshare-uts"
	for _, test := range []struct {
		c     Config
		want  string
		flags int
	}{
		{Config{Sandbox: &sandbox.Config{Processes: sandbox.Own}}, " --unshare-pid --as-pid-1 --unshare-net", unix.CLONE_NEWPID | unix.CLONE_NEWNET},
		{Config{UserNS: true, Sandbox: &sandbox.Config{Network: sandbox.Network{Mode: sandbox.FullNetwork}}}, " --unshare-user", unix.CLONE_NEWUSER},
		{Config{Sandbox: &sandbox.Config{Network: sandbox.Network{Mode: sandbox.AllowList}}}, " --unshare-net", unix.CLONE_NEWNET},
	} {
		if got := strings.Join(test.c.options(), " "); got != always+test.want {
			t.Errorf("%s, want %s", got, always+test.want)
		}
		if want := test.flags | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS; test.c.flags() != want {
			t.Errorf("flags %x, want %x", test.c.flags(), want)
		}
	}
}

func TestEncode(t *testing.T) {
	if text, err := encode([]string{"a", "", "b"}); string(text) != "a\x00\x00b\x00" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := encode([]string{"a\x00b"}); err == nil {
		t.Error("NUL")
	}
}
