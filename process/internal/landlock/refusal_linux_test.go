package landlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

func shared(files ...sandbox.Rule) *sandbox.Config {
	return &sandbox.Config{
		Files: files, FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.FullNetwork},
		Processes: sandbox.Shared, Tmp: sandbox.Shared, Devices: sandbox.MinimalDevices,
	}
}

func field(err error) string {
	if e, ok := errors.AsType[*sandbox.NotEnforceableError](err); ok {
		return e.Field
	}
	return fmt.Sprint(err)
}

// TestNotEnforceable checks which field is named if Landlock alone cannot enforce a sandbox.
func TestNotEnforceable(t *testing.T) {
	needs(t, ioctlABI)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"w/git/x", "r/secret", "many/secret", "deep" + strings.Repeat("/d", maxPlaces)} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("w/git", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	const bound = 100
	for i := range bound {
		if err := os.WriteFile(fmt.Sprintf("%s/many/%d", dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rule := func(path string, a sandbox.Access) sandbox.Rule {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return sandbox.Rule{Path: path, Access: a, Missing: sandbox.Refuse}
	}
	const none, rd, wr = sandbox.None, sandbox.Read, sandbox.Write
	tests := []struct {
		name  string
		rules []sandbox.Rule
		o     Options
		want  string // the field, or the error
	}{
		{"nothing", nil, Options{}, "<nil>"},
		{"secret below readable", []sandbox.Rule{rule("r/secret", none), rule("r", rd)}, Options{}, "<nil>"},
		{"writable below secret", []sandbox.Rule{rule("w", none), rule("w/git", wr)}, Options{}, "<nil>"},
		{"writable below writable", []sandbox.Rule{rule("w", wr), rule("w/git", wr)}, Options{}, "<nil>"},
		{"readable below writable", []sandbox.Rule{rule("r", rd), rule("w", wr), rule("w/git", rd)}, Options{}, "files[2]"},
		{"secret below writable", []sandbox.Rule{rule("w/git", none), rule("w", wr)}, Options{}, "files[0]"},
		{"secret far below writable", []sandbox.Rule{rule("w/git/x", none), rule("w", wr)}, Options{}, "files[0]"},
		{"secret below writable through a link", []sandbox.Rule{rule("link", none), rule("w", wr)}, Options{}, "files[0]"},
		{"always below writable", []sandbox.Rule{rule("r", rd), rule("w", wr)}, Options{Always: []string{dir + "/w/git"}}, "files[1]"},
		{"unreadable below writable", []sandbox.Rule{rule("w", wr)}, Options{Unreadable: []string{dir + "/w/git"}}, "files[0]"},
		{"always is the writable one", []sandbox.Rule{rule("w", wr)}, Options{Always: []string{dir + "/w"}}, "<nil>"},
		{"always is missing", []sandbox.Rule{rule("w", wr)}, Options{Always: []string{dir + "/w/missing/x"}}, "<nil>"},
		{"the root is writable", []sandbox.Rule{rule("/", wr)}, Options{}, "files[0]"},
		{"two names of one directory", []sandbox.Rule{rule("w/git", rd), rule("link", none)}, Options{}, "<nil>"},
		{"too many siblings", []sandbox.Rule{rule("r", rd), rule("many/secret", none)}, Options{bound: bound}, "files[1]"},
		{"too many siblings of always", nil, Options{Always: []string{dir + "/many/secret"}, bound: bound}, "files"},
		{"deep", []sandbox.Rule{rule("deep"+strings.Repeat("/d", maxPlaces/2), wr)}, Options{}, "<nil>"},
		{"too deep", []sandbox.Rule{rule("deep"+strings.Repeat("/d", maxPlaces), wr)}, Options{}, "files"},
		{"always too deep", nil, Options{Always: []string{dir + "/deep" + strings.Repeat("/d", maxPlaces)}}, "files"},
		{"/dev", []sandbox.Rule{rule("/dev", wr)}, Options{}, "files[0]"},
		{"/dev readable", []sandbox.Rule{rule("/dev", rd)}, Options{}, "<nil>"},
		{"/dev/null", []sandbox.Rule{rule("/dev/null", wr)}, Options{}, "<nil>"},
		{"/dev/kmsg", []sandbox.Rule{rule("/dev/kmsg", rd)}, Options{}, "files[0]"},
		{"/proc/sys", []sandbox.Rule{rule("/proc/sys", wr)}, Options{}, "files[0]"},
		{"/proc/sys hidden", []sandbox.Rule{rule("/proc/sys", none)}, Options{}, "files[0]"},
		{"/proc/self readable", []sandbox.Rule{rule("/proc/self", rd)}, Options{}, "<nil>"},
		{"/proc hidden", []sandbox.Rule{rule("/proc", none)}, Options{}, "<nil>"},
		{"/sys", []sandbox.Rule{rule("/sys/kernel", wr)}, Options{}, "files[0]"},
		{"missing", []sandbox.Rule{rule("missing", wr)}, Options{}, "sandbox: " + dir + "/missing: no such file or directory"},
	}
	for _, test := range tests {
		if test.name == "/dev/kmsg" && unix.Access("/dev/kmsg", unix.F_OK) != nil {
			continue
		}
		fd, err := Ruleset(shared(test.rules...), test.o)
		_ = unix.Close(fd)
		if got := field(err); got != test.want {
			t.Errorf("%s: %s (%v), want %s", test.name, got, err, test.want)
		}
	}
}

// TestLowerABI checks what older kernels are not asked to enforce.
func TestLowerABI(t *testing.T) {
	needs(t, ioctlABI)
	with := func(change func(*sandbox.Config)) *sandbox.Config {
		c := shared()
		change(c)
		return c
	}
	tests := []struct {
		c    *sandbox.Config
		o    Options
		abi  int
		want string
	}{
		{shared(), Options{}, 0, "files"},
		{shared(), Options{}, 1, "files"},
		{shared(), Options{}, MinAlone - 1, "files"},
		{shared(), Options{}, MinAlone, "<nil>"},
		{shared(), Options{Inside: true}, MinInside - 1, "files"},
		{shared(), Options{Inside: true}, MinInside, "<nil>"},
		{with(func(c *sandbox.Config) { c.Network.Mode = sandbox.AllowList }), Options{}, 7, "network"},
		{with(func(c *sandbox.Config) { c.Network.Mode = sandbox.NoNetwork }), Options{}, 7, "<nil>"},
		{with(func(c *sandbox.Config) { c.Processes = sandbox.Own }), Options{}, 7, "processes"},
		{with(func(c *sandbox.Config) { c.Tmp = sandbox.Private }), Options{}, 7, "tmp"},
		{with(func(c *sandbox.Config) { c.UnixSockets = sandbox.FullUnixSockets }), Options{}, resolveABI, "unix_sockets"},
		{with(func(c *sandbox.Config) { c.UnixSockets = sandbox.FullUnixSockets }), Options{Inside: true}, ioctlABI, "<nil>"},
	}
	for _, test := range tests {
		fd, err := makeRuleset(test.c, &test.o, test.abi)
		_ = unix.Close(fd)
		if got := field(err); got != test.want {
			t.Errorf("ABI %d, %+v, %+v: %s, want %s", test.abi, test.c, test.o, got, test.want)
		}
	}
}

// TestNested makes a ruleset in a process that is restricted itself. There "/" cannot be listed.
func TestNested(t *testing.T) {
	needs(t, MinAlone)
	tr := newTree(t, nil)
	outer, err := alone(tr)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(outer)
	proctest.OnThread(func() {
		if err := enter(nil, outer); err != nil {
			t.Error(err)
			return
		}
		if fd, err := Ruleset(shared(), Options{}); field(err) != "files" {
			t.Errorf("descriptor %d, %v", fd, err)
		}
		c := shared(sandbox.Rule{Path: tr.path("w"), Access: sandbox.Write, Missing: sandbox.Refuse})
		c.FilesDefault = sandbox.None
		fd, err := Ruleset(c, Options{})
		defer unix.Close(fd)
		if err != nil || Restrict(fd) != 0 {
			t.Error(err)
			return
		}
		if err, inner := opens("w/file", unix.O_RDWR)(tr), opens("r/file", unix.O_RDONLY)(tr); err != nil || inner != unix.EACCES {
			t.Errorf("what both permit: %v; what only the outer one permits: %v", err, inner)
		}
	})
}

func TestSupport(t *testing.T) {
	s := Support()
	if (s.By[sandbox.FilesPart] == sandbox.Landlock) != (ABI() >= MinAlone) {
		t.Errorf("ABI %d: %+v", ABI(), s)
	}
	for _, part := range sandbox.Parts {
		by, why := s.By[part], s.Why[part]
		if part != sandbox.NetworkPart && (by == "") != (why != "") {
			t.Errorf("%s: by %q, why %q", part, by, why)
		}
	}
}
