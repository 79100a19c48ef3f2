//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// checked returns a spec that records what was opened.
func checked(spec Spec, o *Opened) Spec {
	spec.Check = func(opened Opened) error {
		*o = opened
		return nil
	}
	return spec
}

func paths(files []File) (all []string) {
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}

// resolved returns the path of a file without symbolic links.
func resolved(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckGetsWhatIsExecuted checks the resolved paths and the identities, and that the command
// gets them.
func TestCheckGetsWhatIsExecuted(t *testing.T) {
	h := openHost(t, Marker)
	dir := resolved(t, publicDir(t))
	echo := script(t, dir+"/echo", "#!/bin/sh  -e \necho \"$0\" \"$1\"; pwd -P\n", 0o755)
	nested := script(t, dir+"/nested", "#!"+echo+" x\n", 0o755)
	err := errors.Join(os.Mkdir(dir+"/sub", 0o755), os.Symlink(nested, dir+"/link"), os.Symlink(dir, dir+"/sub/up"))
	if err != nil {
		t.Fatal(err)
	}
	shell := resolved(t, "/bin/sh")
	for _, c := range []struct {
		argv0, cwd, path string
		programs         []string
		out              string
	}{
		{"/bin/../bin/sh", dir, "", []string{shell}, ""},
		{"sh", dir + "/sub/..", "/none:/bin", []string{shell}, ""},
		{echo, dir + "/sub", "", []string{echo, shell}, echo + " 1\n" + dir + "/sub\n"},
		{"./link", dir + "/sub/up", "", []string{nested, echo, shell}, echo + " x\n" + dir + "\n"},
		{"link", dir, "", []string{nested, echo, shell}, echo + " x\n" + dir + "\n"},
		{"../echo", dir + "/sub", "", []string{echo, shell}, echo + " 1\n" + dir + "/sub\n"},
	} {
		var o Opened
		spec := Spec{Argv: []string{c.argv0, "1"}, Dir: c.cwd, Env: []string{"PATH=" + c.path}}
		if c.out == "" {
			spec.Argv = []string{c.argv0, "-c", "echo $0; pwd -P", "zero"}
			c.out = "zero\n" + resolved(t, c.cwd) + "\n"
		}
		out, exit := runOn(t, h, checked(spec, &o))
		if out != c.out || exit.Code != 0 {
			t.Errorf("%s in %s: output %q, want %q; %+v", c.argv0, c.cwd, out, c.out, exit)
		}
		got := paths(o.Programs)
		if len(got) <= len(c.programs) || !slices.Equal(got[:len(c.programs)], c.programs) || o.Dir.Path != resolved(t, c.cwd) {
			t.Errorf("%s in %s: opened %q in %q", c.argv0, c.cwd, got, o.Dir.Path)
		}
		var st unix.Stat_t
		if err := unix.Stat(c.programs[0], &st); err != nil || o.Programs[0].Ino != st.Ino || o.Programs[0].Dev != st.Dev ||
			o.Programs[0].Mode != st.Mode || o.Programs[0].UID != st.Uid || o.Programs[0].Script != strings.HasPrefix(c.programs[0], dir) ||
			!strings.HasSuffix(o.Programs[0].Name, c.argv0) || o.Dir.Name != c.cwd {
			t.Errorf("%+v is not %s", o.Programs[0], c.programs[0])
		}
	}
}

// TestCheckRefuses checks that the error of a check is returned unchanged, and nothing is executed.
func TestCheckRefuses(t *testing.T) {
	h := openHost(t, Marker)
	refusal := errors.New("refused")
	ran := filepath.Join(t.TempDir(), "ran")
	spec := sh("touch " + ran)
	spec.Check = func(Opened) error { return refusal }
	if p, err := h.Start(spec); err != refusal || p != nil {
		t.Errorf("Start: %v, %v", p, err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the command was executed")
	}
	spec.Argv, spec.Dir = []string{"/none"}, "/"
	if _, err := h.Start(spec); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that does not exist: %v", err)
	}
}

// TestCheckRefusesMagicLinks checks that names that lead to files that this process has open are
// not followed: its root, its working directory and its descriptors.
func TestCheckRefusesMagicLinks(t *testing.T) {
	h := openHost(t, Marker)
	dir, err := os.Open("/bin")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	own := fmt.Sprintf("/proc/%d", os.Getpid())
	for _, prefix := range []string{"/proc/self/root/bin", own + "/root/bin", own + "/cwd", fmt.Sprintf("%s/fd/%d", own, dir.Fd()),
		fmt.Sprintf("/dev/fd/%d", dir.Fd()), "/proc/thread-self/root/bin"} {
		for _, spec := range []Spec{{Argv: []string{prefix + "/true"}}, {Argv: []string{"/bin/true"}, Dir: prefix}} {
			var o Opened
			_, err := h.Start(checked(spec, &o))
			if spawn, ok := errors.AsType[*SpawnError](err); !ok || spawn.Errno != unix.ELOOP {
				t.Errorf("%+v: %v", spec, err)
			}
		}
	}
}

// TestCheckOfRemovedFiles checks a working directory that was removed, and a program that is
// removed after the check.
func TestCheckOfRemovedFiles(t *testing.T) {
	h := openHost(t, Marker)
	base := resolved(t, publicDir(t))
	gone := base + "/gone (deleted)"
	if err := os.Mkdir(gone, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(gone)
	var o Opened
	if _, err := runOn(t, h, checked(sh("true"), &o)); err.Code != 0 || o.Dir.Path != gone {
		t.Errorf("%+v, %q", err, o.Dir.Path)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	_, err := h.Start(checked(sh("true"), &o))
	if spawn, ok := errors.AsType[*SpawnError](err); !ok || spawn.Op != "chdir" || spawn.Errno != unix.ENOENT {
		t.Errorf("in a directory that was removed: %v", err)
	}
	text, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	program := script(t, base+"/program", string(text), 0o755)
	spec := Spec{Argv: []string{program, "executed"}, Dir: "/", Check: func(o Opened) error { return os.Remove(o.Programs[0].Path) }}
	if out, exit := runOn(t, h, spec); out != "executed\n" {
		t.Errorf("%q, %+v", out, exit)
	}
}

// TestCheckedFilesAreUsed swaps the program and the directory, by symbolic links and by renames,
// during starts. What is executed, and where, must be what was checked.
func TestCheckedFilesAreUsed(t *testing.T) {
	h := openHost(t, Marker)
	base := resolved(t, publicDir(t))
	text, err := os.ReadFile(resolved(t, "/bin/sh"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"good", "evil"} {
		if err := os.MkdirAll(base+"/"+name+"/dir", 0o755); err != nil {
			t.Fatal(err)
		}
		script(t, base+"/"+name+"/program", string(text), 0o755)
	}
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swap := func(f func(n int) error) {
		if err := f(0); err != nil {
			t.Fatal(err)
		}
		swapping.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	link := func(name string, targets ...string) {
		swap(func(n int) error {
			next := base + "/next-" + name
			return errors.Join(os.Symlink(targets[n%len(targets)], next), os.Rename(next, base+"/"+name))
		})
	}
	link("current", "good", "evil")
	link("file", "good/program", "evil/program")
	link("dir", "good/dir", "evil/dir")
	if err := errors.Join(os.Link(base+"/good/program", base+"/renamed")); err != nil {
		t.Fatal(err)
	}
	swap(func(n int) error {
		from := base + []string{"/evil", "/good"}[n%2] + "/program"
		return errors.Join(os.Link(from, base+"/next-renamed"), os.Rename(base+"/next-renamed", base+"/renamed"))
	})
	t.Cleanup(func() {
		close(stop)
		swapping.Wait()
	})
	refused := errors.New("refused")
	good, bad := 0, 0
	for i := 0; (i < 400 || min(good, bad) < 20) && i < 100_000; i++ {
		names := [][2]string{{"current/program", "current/dir"}, {"file", "dir"}, {"renamed", "current/../dir"}, {"./dir/../program", "current/dir/.."}}[i%4]
		program := names[0]
		if program[0] != '.' {
			program = base + "/" + program
		}
		var o Opened
		p, err := h.Start(Spec{
			Argv: []string{program, "-c", "stat -Lc '%d %i' /proc/$$/exe; stat -c '%d %i' ."}, Dir: base + "/" + names[1], Env: testEnv,
			Check: func(opened Opened) error {
				if o = opened; strings.Contains(o.Programs[0].Path, "/evil/") || strings.Contains(o.Dir.Path, "/evil") {
					return refused
				}
				return nil
			},
		})
		switch {
		case errors.Is(err, refused) || errors.Is(err, syscall.ENOENT): // the path was renamed away since it was opened
			bad++
			continue
		case err != nil:
			t.Fatal(err)
		}
		good++
		out, _ := readAll(p.Stdout())
		finish(p)
		want := fmt.Sprintf("%d %d\n%d %d\n", o.Programs[0].Dev, o.Programs[0].Ino, o.Dir.Dev, o.Dir.Ino)
		if out != want {
			t.Fatalf("%q was executed, but %q %q was checked: %q", out, o.Programs[0].Path, o.Dir.Path, want)
		}
	}
	if min(good, bad) < 20 {
		t.Errorf("%d starts were permitted, %d not: nothing was swapped", good, bad)
	}
}

// TestCheckOfMounts checks that the path is that of the mount through which a file was opened.
func TestCheckOfMounts(t *testing.T) {
	needRoot(t)
	h := openHost(t, Marker)
	base := resolved(t, publicDir(t))
	if err := os.Mkdir(base+"/mount", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(resolved(t, "/bin"), base+"/mount", "", unix.MS_BIND, ""); err != nil {
		t.Skip("SKIPPED, cannot mount: ", err)
	}
	defer unix.Unmount(base+"/mount", unix.MNT_DETACH)
	var o Opened
	out, _ := runOn(t, h, checked(Spec{Argv: []string{base + "/mount/echo", "x"}, Dir: base + "/mount"}, &o))
	if out != "x\n" || o.Programs[0].Path != base+"/mount/echo" || o.Dir.Path != base+"/mount" {
		t.Errorf("%q, opened %q in %q", out, paths(o.Programs), o.Dir.Path)
	}
	// A mount on top hides what was opened before, and its path names something else.
	hidden := Spec{Argv: []string{"/bin/true"}, Dir: base + "/mount/../mount", Check: func(Opened) error { return nil }}
	t.Chdir(base + "/mount")
	hidden.Dir = ""
	if err := unix.Mount("none", base+"/mount", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(base+"/mount", unix.MNT_DETACH)
	if _, err := h.Start(hidden); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a directory that a mount hides: %v", err)
	}
}

// TestCheckWithUserAndAttributes checks that limits and attributes are set too.
func TestCheckWithUserAndAttributes(t *testing.T) {
	needRoot(t)
	umask := 0o37
	allHosts(t, func(t *testing.T, h *Host) {
		var o Opened
		s := checked(as(alice, sh("umask; ulimit -n; grep NoNewPrivs /proc/self/status; id -u; id -G; ulimit -c")), &o)
		s.Attributes = Attributes{Umask: &umask, NoNewPrivileges: true, Soft: SoftLimits{CoreBytes: 0}}
		s.Limits = Limits{OpenFiles: 33}
		want := "0037\n33\nNoNewPrivs:\t1\n65533\n65532 65530 65531\n0\n"
		if out, exit := runOn(t, h, s); out != want || exit.Code != 0 || o.Dir.Path != "/" {
			t.Errorf("%q, %+v", out, exit)
		}
		delete(s.Limits, OpenFiles)
		s.Attributes, s.Argv = Attributes{}, sh("ulimit -n; grep NoNewPrivs /proc/self/status").Argv
		plain, _ := runOn(t, h, sh("ulimit -n; grep NoNewPrivs /proc/self/status"))
		if out, _ := runOn(t, h, s); out != plain {
			t.Errorf("without attributes %q, want %q", out, plain)
		}
	})
}

// TestAttemptCheck: the check of an attempt has the files and the errors of a start, and starts
// nothing.
func TestAttemptCheck(t *testing.T) {
	h := openHost(t, Marker)
	var o Opened
	ran := filepath.Join(t.TempDir(), "ran")
	spec := checked(sh("touch "+ran), &o)
	before := len(descriptors())
	if err := h.Attempt(spec).Check(t.Context()); err != nil || len(o.Programs) == 0 || o.Programs[0].Path != resolved(t, "/bin/sh") {
		t.Errorf("%v, %+v", err, o)
	}
	refusal := errors.New("refused")
	spec.Check = func(Opened) error { return refusal }
	if err := h.Attempt(spec).Check(t.Context()); err != refusal {
		t.Error(err)
	}
	spec.Argv = []string{"/missing"}
	if err := h.Attempt(spec).Check(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Errorf("the command ran: %v", err)
	}
	if after := len(descriptors()); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
