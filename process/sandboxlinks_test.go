//go:build linux

package process

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// fromProfile returns a function that completes a request in a directory as a server does whose floor
// is a profile, and whose operator denies paths. It needs no namespaces.
func fromProfile(t *testing.T, dir string, p sandbox.Partial, deny ...string) func(files ...sandbox.Rule) *sandbox.Config {
	t.Helper()
	p.Processes, p.Tmp, p.Metadata = sandbox.Shared, sandbox.Shared, sandbox.FullMetadata
	profiles := sandbox.NewProfiles(deny, map[string]sandbox.Partial{"p": p})
	at := sandbox.Place{Dir: dir, Home: dir}
	floor, err := profiles.Floor("p", at)
	if err != nil {
		t.Fatal(err)
	}
	return func(files ...sandbox.Rule) *sandbox.Config {
		c, err := profiles.Complete(&sandbox.Request{Partial: sandbox.Partial{Files: files}}, floor, at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// outputOn starts a command, and returns its output or the error of the start.
func outputOn(h *Host, s Spec) (string, error) {
	p, err := h.Start(s)
	if err != nil {
		return "", err
	}
	out, _ := readAll(p.Stdout())
	finish(p)
	return out, nil
}

// eachMechanism runs f with namespaces, and with Landlock alone.
func eachMechanism(t *testing.T, f func(t *testing.T, h *Host)) {
	t.Run("namespaces", func(t *testing.T) {
		h := openHost(t, Marker)
		needNamespaces(t, h)
		f(t, h)
	})
	t.Run("landlock", func(t *testing.T) {
		h := openHost(t, Marker)
		withoutNamespaces(t, h)
		f(t, h)
	})
}

// makeDirs makes directories of everybody in a new one.
func makeDirs(t *testing.T, names ...string) string {
	t.Helper()
	dir := publicDir(t)
	for _, name := range names {
		if err := errors.Join(os.MkdirAll(dir+"/"+name, 0o777), os.Chmod(dir+"/"+name, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSandboxFloorFollowsNoLinks checks that a command that makes a link at the path of a rule of the
// floor gets no access to where that leads. Links elsewhere, as /bin may be, are followed.
func TestSandboxFloorFollowsNoLinks(t *testing.T) {
	system := []sandbox.Rule{{Path: "/usr", Access: sandbox.Read}, {Path: "/etc", Access: sandbox.Read},
		{Path: "/bin", Access: sandbox.Read}, {Path: "/lib", Access: sandbox.Read}, {Path: "/lib64", Access: sandbox.Read}}
	eachMechanism(t, func(t *testing.T, h *Host) {
		dir := makeDirs(t, "work/sub", "victim", "other")
		work := dir + "/work"
		if err := os.WriteFile(dir+"/other/secret", []byte("secret\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		box := fromProfile(t, work, sandbox.Partial{FilesDefault: sandbox.None, Files: append(system,
			sandbox.Rule{Path: ".", Access: sandbox.Write}, sandbox.Rule{Path: "~/cache", Access: sandbox.Write}, sandbox.Rule{Path: "lib", Access: sandbox.Read})})
		run := func(command string, files ...sandbox.Rule) (string, error) {
			s := within(box(files...), sh(command))
			s.Dir = work
			return outputOn(h, s)
		}
		if out, err := run("ln -s " + dir + "/victim cache && ln -s " + dir + "/other lib && ln -s sub link && /bin/echo made"); out != "made\n" || err != nil {
			t.Fatalf("%q, %v", out, err)
		}
		out, err := run("echo x >cache/new; echo x >" + dir + "/victim/new; cat lib/secret " + dir + "/other/secret; echo own >link/file; cat sub/file")
		if _, statErr := os.Lstat(dir + "/victim/new"); out != "own\n" || err != nil || statErr == nil {
			t.Errorf("%q, %v; made outside: %v", out, err, statErr == nil)
		}
		if out, err = run("echo >link/file && echo ok", sandbox.Rule{Path: "link", Access: sandbox.Write}); out != "ok\n" || err != nil {
			t.Errorf("a rule within the floor: %q, %v", out, err)
		}
		_, err = run("true", sandbox.Rule{Path: "cache", Access: sandbox.Write})
		if e, ok := errors.AsType[*sandbox.ExceedsError](err); !ok || e.Field != "files[0]" {
			t.Errorf("a rule beyond the floor: %v", err)
		}
	})
}

// TestSandboxHidesNothingNeeded checks that a command that makes a link at a path that is denied, or that
// a profile makes inaccessible, keeps no later command from running. What such a link leads to is hidden
// if others do not need it.
func TestSandboxHidesNothingNeeded(t *testing.T) {
	eachMechanism(t, func(t *testing.T, h *Host) {
		dir := makeDirs(t, "home/sub", "other/aws")
		home := dir + "/home"
		if err := os.WriteFile(dir+"/other/aws/key", []byte("key\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		box := fromProfile(t, home, sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write},
			{Path: "none", Access: sandbox.None}, {Path: "cache", Access: sandbox.Write}}}, "~/.aws")
		// Commands in another directory may not write where the link is.
		other := fromProfile(t, home, sandbox.Partial{Files: []sandbox.Rule{{Path: "none", Access: sandbox.None}}}, "~/.aws")
		run := func(box func(...sandbox.Rule) *sandbox.Config, command, want string) {
			t.Helper()
			s := within(box(), sh(command))
			s.Dir = home
			if out, err := outputOn(h, s); out != want || err != nil {
				t.Errorf("%s: %q, %v, want %q", command, out, err, want)
			}
		}
		targets := []string{"/", "/bin/sh", "/proc", "/dev/null", home, "/no/such/file", "$l", "/usr", "/etc", "/dev", "/tmp", "/var", dir, ".", "sub/.."}
		for _, to := range targets[:rounds(7, len(targets))] {
			run(box, "for l in .aws none cache; do ln -s "+to+" $l; done && echo made", "made\n")
			run(other, "ls /usr /dev/null >/dev/null && echo ran", "ran\n")
			run(box, "ls /usr /dev/null >/dev/null && rm .aws none cache && echo ran", "ran\n")
		}
		for _, link := range []string{".aws", "none"} {
			run(box, "ln -s ../other/aws "+link+" && cat "+link+"/key", "key\n")
			run(other, "cat "+link+"/key ../other/aws/key 2>/dev/null", "")
			run(box, "cat "+link+"/key ../other/aws/key 2>/dev/null; rm "+link, "")
		}
	})
}

// TestSandboxHidesWhereLinkLed checks that what is never accessible remains so if a command replaces a
// symbolic link that leads there.
func TestSandboxHidesWhereLinkLed(t *testing.T) {
	dir := makeDirs(t, "work", "state")
	link := dir + "/work/link"
	if err := errors.Join(os.WriteFile(dir+"/state/token", []byte("token\n"), 0o666), os.Symlink("../state", link)); err != nil {
		t.Fatal(err)
	}
	h := openHostWith(t, Options{Containment: Marker, HideFromSandboxes: []string{link}})
	needNamespaces(t, h)
	run := func(command, want string) {
		t.Helper()
		s := within(sharing(), sh(command))
		s.Sandbox.Files = []sandbox.Rule{{Path: dir + "/work", Access: sandbox.Write, Missing: sandbox.Refuse}}
		s.Dir = dir + "/work"
		if out, _ := runOn(t, h, s); out != want {
			t.Errorf("%s: %q, want %q", command, out, want)
		}
	}
	run("rm link && ln -s /usr link && echo made", "made\n")
	run("ls /usr >/dev/null && cat ../state/token || echo hidden", "hidden\n")
}

// TestSandboxIsOfOpenedDirectory checks that rules that are relative to the working directory are for
// the directory that Spec.Check has seen, although its name is that of a link which is changed then.
func TestSandboxIsOfOpenedDirectory(t *testing.T) {
	eachMechanism(t, func(t *testing.T, h *Host) {
		dir := makeDirs(t, "real", "victim")
		link := dir + "/link"
		if err := os.Symlink("real", link); err != nil {
			t.Fatal(err)
		}
		s := within(fromProfile(t, link, sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}}})(), sh("echo x >file; echo x >"+dir+"/victim/file"))
		s.Dir = link
		runOn(t, h, s)
		if _, err := os.Stat(dir + "/real/file"); err != nil {
			t.Error(err)
		}
		s.Check = func(Opened) error { return errors.Join(os.Remove(link), os.Symlink("victim", link)) }
		p, err := h.Start(s)
		if err == nil {
			_, _ = readAll(p.Stdout())
			finish(p)
		}
		if e, ok := errors.AsType[*SpawnError](err); !ok || e.Op != "chdir" || e.Errno != unix.EAGAIN {
			t.Errorf("%v", err)
		}
		data := dir + "/real/data" // made by a command, and the path of a rule
		if err := os.Symlink("../victim", data); err != nil {
			t.Fatal(err)
		}
		s = within(fromProfile(t, data, sandbox.Partial{Files: []sandbox.Rule{{Path: dir + "/real", Access: sandbox.Write}, {Path: data, Access: sandbox.Write}}})(),
			sh("echo x >file; echo ran"))
		s.Dir = data
		if out, _ := runOn(t, h, s); out != "ran\n" {
			t.Errorf("%q", out)
		}
		if _, err := os.Stat(dir + "/victim/file"); err == nil {
			t.Error("written elsewhere")
		}
	})
}

// TestSandboxTellsNothing checks that a rule shows nothing of what its user must not see, and that one
// for what the user may make accessible applies.
func TestSandboxTellsNothing(t *testing.T) {
	needRoot(t)
	eachMechanism(t, func(t *testing.T, h *Host) {
		dir := makeDirs(t, "secret", "closed", "shown")
		if err := errors.Join(os.WriteFile(dir+"/secret/file", nil, 0o644), os.Symlink("/usr", dir+"/secret/link"), os.Chmod(dir+"/secret", 0o700),
			os.WriteFile(dir+"/closed/file", []byte("closed\n"), 0o644), os.Chown(dir+"/closed", int(alice.UID), -1), os.Chmod(dir+"/closed", 0)); err != nil {
			t.Fatal(err)
		}
		box := fromProfile(t, dir, sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}}})
		if h.SandboxSupport(t.Context()).By[sandbox.ProcessesPart] == "" { // no rule below a writable one
			box = fromProfile(t, dir, sandbox.Partial{})
		}
		run := func(path string, a sandbox.Access) (string, error) {
			s := within(box(sandbox.Rule{Path: path, Access: a}), as(alice, sh("grep "+path+" /proc/self/mountinfo; chmod 700 closed 2>/dev/null; cat closed/file 2>/dev/null; ls /usr >/dev/null && echo end")))
			s.Dir = dir
			return outputOn(h, s)
		}
		for _, name := range []string{"file", "link", "missing", "missing/file", "link/bin"} {
			out, err := run(dir+"/secret/"+name, sandbox.None)
			if strings.TrimPrefix(out, "closed\n") != "end\n" || err != nil {
				t.Errorf("%s: %q, %v", name, out, err)
			}
			_, err = run(dir+"/secret/"+name, sandbox.Read)
			if !errors.Is(err, unix.EACCES) {
				t.Errorf("read %s: %v", name, err)
			}
		}
		if err := os.Chmod(dir+"/closed", 0); err != nil {
			t.Fatal(err)
		}
		if out, err := run(dir+"/closed/file", sandbox.None); strings.Contains(out, "closed\n") || !strings.HasSuffix(out, "end\n") || err != nil {
			t.Errorf("closed: %q, %v", out, err)
		}
		if _, err := run(dir+"/shown/missing", sandbox.None); !errors.Is(err, unix.ENOENT) {
			t.Errorf("%v", err)
		}
	})
}

// TestSandboxMakesDirectories checks that a directory is not made where a link leads that was put on
// its path after that was resolved, and that it has the umask of the command.
func TestSandboxMakesDirectories(t *testing.T) {
	dir := makeDirs(t, "victim")
	if err := os.Symlink("victim", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	var f ruleFile
	if err := f.open(&sandbox.Rule{Path: dir + "/link/new", Access: sandbox.Write, Missing: sandbox.Create}, 0); err != unix.ELOOP {
		t.Errorf("%v", err)
	}
	if names, err := os.ReadDir(dir + "/victim"); len(names) > 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	h := openHost(t, Marker)
	needNamespaces(t, h)
	umask := 0o77
	s := within(sharing(), sh("true"))
	s.Attributes.Umask = &umask
	s.Sandbox.Files = []sandbox.Rule{{Path: dir + "/new", Access: sandbox.Write, Missing: sandbox.Create}}
	runOn(t, h, s)
	if info, err := os.Stat(dir + "/new"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	needRoot(t)
	s = within(sharing(), as(alice, sh("true")))
	s.Sandbox.Files = []sandbox.Rule{{Path: dir + "/hidden", Access: sandbox.None, Missing: sandbox.Create}}
	if _, err := h.Start(s); !errors.Is(err, unix.EACCES) {
		t.Errorf("a directory of root is made: %v", err)
	}
}

// aliasVariable is set in the process that has a mount namespace of its own for a test.
const aliasVariable = "RUNNEL_TEST_ALIAS"

// TestSandboxKnowsOtherMounts checks that a link is known as one that a command may have made if the
// path of a rule has it in another mount of a writable directory.
func TestSandboxKnowsOtherMounts(t *testing.T) {
	if os.Getenv(aliasVariable) == "" {
		needRoot(t)
		cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), aliasVariable+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // private, too
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skip("this process may not mount")
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := makeDirs(t, "work", "alias", "victim")
	if err := unix.Mount(dir+"/work", dir+"/alias", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir+"/alias", unix.MNT_DETACH) })
	eachMechanism(t, func(t *testing.T, h *Host) {
		box := fromProfile(t, dir+"/work", sandbox.Partial{Files: []sandbox.Rule{{Path: ".", Access: sandbox.Write}, {Path: dir + "/alias/link", Access: sandbox.Write}}})
		for _, command := range []string{"ln -s ../victim link; echo ran", "rm link; echo x >../victim/new; echo ran"} {
			s := within(box(), sh(command))
			s.Dir = dir + "/work"
			if out, err := outputOn(h, s); out != "ran\n" || err != nil {
				t.Errorf("%s: %q, %v", command, out, err)
			}
		}
		if _, err := os.Lstat(dir + "/victim/new"); err == nil {
			t.Error("a command has moved a rule of its floor")
		}
	})
}
