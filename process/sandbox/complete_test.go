package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var home = Place{Dir: "/work/p", Home: "/home/u", Hidden: []string{"/run/server"}}

// summary is a Config in short.
func summary(c *Config) string {
	if c == nil {
		return "nil"
	}
	var b strings.Builder
	for _, r := range c.Files {
		fmt.Fprintf(&b, "%s:%s:%s ", r.Path, r.Access, r.Missing)
	}
	fmt.Fprintf(&b, "%s %s%v %s %s %s %s", c.FilesDefault, c.Network.Mode, c.Network.Allow, c.Processes, c.Tmp, c.UnixSockets, c.Metadata)
	return b.String()
}

// TestComplete: what a request leaves out is that of its profile, else of the floor, else of
// read-only.
func TestComplete(t *testing.T) {
	profiles := NewProfiles([]string{"/secret", "~/.ssh"}, map[string]Partial{
		"build": {
			Files:        []Rule{{Path: "~/.cache", Access: Write, Missing: Create}, {Path: ".", Access: Write}, {Path: ".git", Access: Read}},
			FilesDefault: None,
			Network:      Network{AllowList, []Destination{{"a.org", 443}}},
			UnixSockets:  FullUnixSockets,
		},
	})
	floor, err := profiles.Floor(Workspace, home)
	if err != nil {
		t.Fatal(err)
	}
	const base = "/work/p:write:skip "
	for _, c := range []struct {
		request Request
		floor   *Config
		want    string
	}{
		{Request{}, nil, "read none[] own private none files"},
		{Request{Profile: ReadOnly}, nil, "read none[] own private none files"},
		{Request{Profile: Workspace}, nil, base + "read none[] own private none files"},
		{Request{Profile: Off}, nil, "nil"},
		{Request{Off, Partial{Network: Network{Mode: NoNetwork}}}, nil, "/:write:skip read none[] shared shared full full"},
		{Request{Off, Partial{FilesDefault: Read}}, nil, "read full[] shared shared full full"},
		{Request{Off, Partial{FilesDefault: None, Files: []Rule{{Path: "/usr", Access: Read}}}}, nil, "/usr:read:error none full[] shared shared full full"},
		{Request{Off, Partial{Metadata: WritableMetadata}}, nil, "/:write:skip read full[] shared shared full files"},
		{Request{Profile: "build"}, nil, "/home/u/.cache:write:create /work/p:write:skip /work/p/.git:read:skip none allow[a.org:443] own private full files"},
		{Request{"build", Partial{FilesDefault: Read, Network: Network{Mode: FullNetwork}, Files: []Rule{{Path: "/work/p/.git", Access: None}}}}, nil,
			"/work/p/.git:none:error /home/u/.cache:write:create /work/p:write:skip read full[] own private full files"},
		{Request{}, floor, base + "read none[] own private none files"},
		{Request{"", Partial{Files: []Rule{{Path: "out/../x", Access: Write, Missing: Create}}}}, floor,
			"/work/p/x:write:create " + base + "read none[] own private none files"},
		{Request{"", Partial{Files: []Rule{{Path: "~", Access: None, Missing: Skip}}}}, floor,
			"/home/u:none:skip " + base + "read none[] own private none files"},
		{Request{Profile: ReadOnly}, floor, "read none[] own private none files"},
	} {
		got, err := profiles.Complete(&c.request, c.floor, home)
		if err != nil || summary(got) != c.want {
			t.Errorf("%+v: %v\n%s\n%s", c.request, err, summary(got), c.want)
		}
		if got != nil && (!slices.Equal(got.Hidden, []string{"/home/u/.ssh", "/run/server", "/secret"}) || got.Floor != c.floor) {
			t.Errorf("%+v: hidden %v", c.request, got.Hidden)
		}
	}
}

// TestDirInTmp: a working directory below /tmp is visible, with the access that it has.
func TestDirInTmp(t *testing.T) {
	var none *Profiles
	shared := Request{"", Partial{Tmp: Shared}}
	hidden := Request{"", Partial{FilesDefault: None}}
	for dir, rules := range map[string][4]int{"/tmp/x/y": {1, 1, 0, 0}, "/var/tmp/x": {1, 1, 0, 0}, "/tmpx": {0, 1, 0, 0}} {
		for i, r := range []Request{{}, {Profile: Workspace}, shared, hidden} {
			c, err := none.Complete(&r, nil, Place{Dir: dir})
			if err != nil || len(c.Files) != rules[i] {
				t.Errorf("%s %+v: %+v, %v", dir, r, c, err)
				continue
			}
			if want := [4]Access{Read, Write, Read, None}[i]; c.At(dir) != want {
				t.Errorf("%s %+v: %s, want %s", dir, r, c.At(dir), want)
			}
		}
	}
}

// TestCompleteRefuses: an error names the field of the request, also if the value is that of its
// profile.
func TestCompleteRefuses(t *testing.T) {
	profiles := NewProfiles([]string{"/secret", "~/.ssh"}, map[string]Partial{
		"home": {Files: []Rule{{Path: "~", Access: Write}}},
		"net":  {Network: Network{Mode: FullNetwork}},
	})
	floor, err := profiles.Floor(Workspace, home)
	if err != nil {
		t.Fatal(err)
	}
	files := func(rules ...Rule) Partial { return Partial{Files: rules} }
	many := make([]Rule, MaxRules+1)
	for i := range many {
		many[i] = Rule{Path: fmt.Sprint("/f", i), Access: Read}
	}
	noHome, tmp := Place{Dir: "/"}, Place{Dir: "/tmp"}
	for _, c := range []struct {
		request Request
		floor   *Config
		at      Place
		want    string
	}{
		{Request{Profile: "other"}, nil, home, "profile is not the name"},
		{Request{Profile: "home"}, nil, noHome, "profile cannot be used here: its files[0].path is in the home directory"},
		{Request{Profile: Workspace}, nil, noHome, `profile cannot be used here: its files[0].path is the root or in a system directory here`},
		{Request{"", files(Rule{Path: "/a", Access: Read}, Rule{Path: "", Access: Read})}, nil, home, "files[1].path must not be empty"},
		{Request{"", files(Rule{Path: "~u/x", Access: Read})}, nil, home, "files[0].path must not begin"},
		{Request{"", files(Rule{Path: "~/x", Access: Read})}, nil, noHome, "files[0].path is in the home"},
		{Request{"", files(Rule{Path: "x", Access: Read})}, nil, Place{}, "files[0].path is relative"},
		{Request{"", files(Rule{Path: "/a\x00", Access: Read})}, nil, home, "files[0].path contains NUL"},
		{Request{"", files(Rule{Path: "/proc/1", Access: Read})}, nil, home, "files[0].path must not be in /proc"},
		{Request{"", files(Rule{Path: "../../dev/sda", Access: Write})}, nil, home, "files[0].path must not be in /proc"},
		{Request{"", files(Rule{Path: strings.Repeat("/a", 2049), Access: Read})}, nil, home, "files[0].path must be at most"},
		{Request{"", files(Rule{Path: strings.Repeat("a", 4095), Access: Read})}, nil, home, "files[0].path must be at most"},
		{Request{"", files(Rule{Path: "/work/p", Access: Read}, Rule{Path: ".", Access: Read})}, nil, home, "files[1].path is the same as that of files[0]"},
		{Request{"", files(Rule{Path: "/tmp", Access: Write})}, nil, home, "files[0].path must not be /tmp"},
		{Request{Profile: Workspace}, nil, tmp, "profile makes the working directory writable, and /tmp is private: "},
		{Request{"", files(Rule{Path: "/a", Access: "rw"})}, nil, home, "files[0].access must be one of"},
		{Request{"", files(Rule{Path: "/a"})}, nil, home, "files[0].access must be one of"},
		{Request{"", files(Rule{Path: "/a", Access: Read, Missing: "x"})}, nil, home, "files[0].missing must be one of"},
		{Request{"", files(many...)}, nil, home, "files must have at most 256"},
		{Request{"", Partial{FilesDefault: Write}}, nil, home, "files_default must be one of"},
		{Request{"", Partial{Network: Network{Mode: "x"}}}, nil, home, "network must be one of"},
		{Request{"", Partial{Network: Network{NoNetwork, []Destination{{"a.org", 1}}}}}, nil, home, "network.allow must not"},
		{Request{"", Partial{Network: Network{AllowList, []Destination{{"A.org", 1}}}}}, nil, home, "network.allow[0] must have"},
		{Request{"", Partial{Network: Network{AllowList, make([]Destination, MaxDestinations+1)}}}, nil, home, "network.allow must have at most"},
		{Request{"", Partial{Processes: Private}}, nil, home, "processes must be one of"},
		{Request{"", Partial{Tmp: Own}}, nil, home, "tmp must be one of"},
		{Request{"", Partial{Devices: "all"}}, nil, home, "devices must be one of"},
		{Request{"", Partial{UnixSockets: "x"}}, nil, home, "unix_sockets must be one of"},
		{Request{"", Partial{Metadata: "all"}}, nil, home, "metadata must be one of files, full"},

		{Request{"", files(Rule{Path: "/secret/x", Access: Read})}, nil, home, "sandbox.files[0] asks for more"},
		{Request{"", files(Rule{Path: "~/.ssh", Access: None, Missing: Create})}, nil, home, "sandbox.files[0] asks for more"},
		{Request{"", files(Rule{Path: "/run/server", Access: Read})}, nil, home, "sandbox.files[0] asks for more"},
		{Request{Profile: Off}, floor, home, "sandbox.profile asks"},
		{Request{Off, Partial{Network: Network{Mode: NoNetwork}}}, floor, home, "sandbox.profile asks"},
		{Request{Profile: "home"}, floor, home, "sandbox.profile asks"},
		{Request{Profile: "net"}, floor, home, "sandbox.profile asks"},
		{Request{"net", Partial{Network: Network{Mode: FullNetwork}}}, floor, home, "sandbox.network asks"},
		{Request{"home", files(Rule{Path: "/work", Access: Write, Missing: Skip})}, floor, home, "sandbox.files[0] asks"},
		{Request{"", files(Rule{Path: "/work/x", Access: Read, Missing: Create})}, floor, home, "sandbox.files[0] asks"},
		{Request{"", Partial{Tmp: Shared}}, floor, home, "sandbox.tmp asks"},
	} {
		got, err := profiles.Complete(&c.request, c.floor, c.at)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, %v, want %s", c.request, summary(got), err, c.want)
		}
	}
}

// TestBuiltInProfiles: each is valid, and each is within the one before it, except that a workspace
// has its directory.
func TestBuiltInProfiles(t *testing.T) {
	var none *Profiles
	for _, name := range none.Names() {
		profile := builtIn[name]
		if err := profile.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if CheckName(name) == nil {
			t.Errorf("the operator may define %s", name)
		}
	}
	all, err := none.Complete(&Request{Off, Partial{Devices: MinimalDevices}}, nil, home)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		c := randomConfig(rand.New(rand.NewPCG(7, 8)))
		if err := c.Within(all); err != nil {
			t.Fatalf("%+v is beyond off: %v", c, err)
		}
	}
}

// TestRepeatedPathsOfAProfile: if two paths of a profile are the same here, the least access applies.
func TestRepeatedPathsOfAProfile(t *testing.T) {
	profiles := NewProfiles(nil, map[string]Partial{
		"p": {Files: []Rule{{Path: ".", Access: Write}, {Path: "~", Access: Read}}},
	})
	c, err := profiles.Floor("p", Place{Dir: "/home/u", Home: "/home/u"})
	if err != nil || len(c.Files) != 1 || c.At("/home/u") != Read {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestResolved: a name that leads elsewhere permits nothing there that the floor does not.
func TestResolved(t *testing.T) {
	links := map[string]string{"/w/etc": "/etc", "/w/key": "/secret/key", "/w/dev": "/dev/sda", "/w/a": "/w/b", "/lost": "", "/link": "/w"}
	real := func(r *Rule, _ bool) Found {
		if to, ok := links[r.Path]; ok {
			return Found{Path: to, Links: []string{path.Dir(r.Path)}}
		}
		return Found{Path: r.Path}
	}
	floor := readOnly
	floor.Files = []Rule{{"/link", Write, Skip}, {"/w/none", None, Skip}}
	for _, c := range []struct {
		floor *Config
		rules []Rule
		want  string
	}{
		{nil, []Rule{{"/w/etc", Read, Skip}, {"/lost", Write, Refuse}}, "/etc:read:skip /lost:write:error"},
		{&floor, []Rule{{"/link", Write, Skip}}, "sandbox.files[0] asks"}, // /w/none
		{&floor, []Rule{{"/w/none", None, Skip}, {"/w/x", Write, Create}}, "/w/none:none:skip /w/x:write:create"},
		{&floor, []Rule{{"/w/none", None, Skip}, {"/w/etc", Write, Skip}}, "sandbox.files[1] asks"},
		{nil, []Rule{{"/w/key", Write, Create}}, "/secret/key:none:skip"},
		{nil, []Rule{{"/w/a", Write, Skip}, {"/x", Read, Skip}, {"/w/b", Read, Skip}}, "/w/b:read:skip /x:read:skip /w/b:read:skip"},
		{nil, []Rule{{"/w/dev", Write, Skip}}, "sandbox: /w/dev: it leads into /proc"},
	} {
		in := readOnly
		in.FilesDefault, in.Files, in.Floor, in.Hidden = None, c.rules, c.floor, []string{"/secret"}
		before := summary(&in)
		got, err := in.Resolved(real)
		if err != nil && !strings.HasPrefix(err.Error(), c.want) || err == nil && !strings.HasPrefix(summary(&got.Config), c.want+" none ") {
			t.Errorf("%v: %+v, %v", c.rules, got, err)
		}
		if summary(&in) != before {
			t.Errorf("%v: Resolved changed it", c.rules)
		}
	}
	in := readOnly
	in.Files = []Rule{{"/w/dev", Read, Skip}}
	if _, err := in.Resolved(real); !errors.Is(err, syscall.EACCES) {
		t.Error(err)
	}
	in.Files, in.Hidden = nil, []string{"/w/key"}
	if got, err := in.Resolved(real); err != nil || !reflect.DeepEqual(got.Hidden, []string{"/secret/key"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCheckDeny(t *testing.T) {
	for file, ok := range map[string]bool{
		"/etc/shadow": true, "~/.ssh": true, "/": false, "~": false, "~/": false, "etc": false, "": false, "./x": false,
		"~u/x": false, "/a/": false, "/a/../b": false, "/a\x00": false, "~/a/..": false,
		"/proc": false, "/dev": false, "/proc/kcore": true, "/sys": true, "~/dev": true,
	} {
		if err := CheckDeny(file); (err == nil) != ok {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"build": true, "a.b-c_1": true, "": false, "1a": false, "A": false, "a b": false, "ä": false, Off: false, Workspace: false,
		strings.Repeat("a", 64): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestLocate: an error about a Config names the field of the request, or its profile.
func TestLocate(t *testing.T) {
	profiles := NewProfiles(nil, map[string]Partial{"p": {Files: []Rule{{Path: "/p", Access: Write}}, Tmp: Shared}})
	request := Request{"p", Partial{Files: []Rule{{Path: "/r", Access: Read}}, Network: Network{Mode: NoNetwork}}}
	c, err := profiles.Complete(&request, nil, home)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"files[0]": "files[0]", "files[1]": "profile", "files": "files", "files_default": "profile", "network": "network",
		"network.allow[3]": "network.allow[3]", "tmp": "tmp", "processes": "processes", "unix_sockets": "unix_sockets", "metadata": "metadata",
	} {
		e, ok := errors.AsType[*NotEnforceableError](c.Locate(fmt.Errorf("x: %w", &NotEnforceableError{field, "why"})))
		if !ok || e.Field != want || e.Why != "why" {
			t.Errorf("%s is %+v, want %s", field, e, want)
		}
	}
	for path, want := range map[string]string{"/r": "files[0].path", "/p": "profile", "/other": ""} {
		e, ok := errors.AsType[*PathError](c.Locate(&PathError{Path: path, Err: syscall.ENOENT}))
		if !ok || e.Field != want || !errors.Is(e, syscall.ENOENT) {
			t.Errorf("%s is %+v, want %s", path, e, want)
		}
	}
	for _, field := range []string{"files[1]", "files_default", "tmp", "processes", "unix_sockets", "metadata", "devices"} {
		if err := c.Locate(&ExceedsError{field}); err.Error() != "sandbox.profile asks for more than is permitted" {
			t.Error(field, err)
		}
	}
	floor, err := profiles.Complete(&Request{}, c, home)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{"tmp": "sandbox.tmp", "files[0]": "sandbox"} {
		if err := floor.Locate(&NotEnforceableError{field, "why"}); err.Error() != want+" cannot be enforced on this machine: why" {
			t.Error(field, err)
		}
	}
	if err := c.Locate(syscall.EIO); err != syscall.EIO {
		t.Error(err)
	}
}
