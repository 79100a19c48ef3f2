//go:build linux

package process

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// with returns spec with attributes.
func with(spec Spec, a Attributes) Spec {
	spec.Attributes = a
	return spec
}

// rowOf maps each resource to its name in /proc/PID/limits.
var rowOf = map[Resource]string{
	AddressSpaceBytes: "Max address space",
	CoreBytes:         "Max core file size",
	SoftCPUSeconds:    "Max cpu time",
	DataBytes:         "Max data size",
	SoftFileBytes:     "Max file size",
	LockedBytes:       "Max locked memory",
	MessageQueueBytes: "Max msgqueue size",
	NiceCeiling:       "Max nice priority",
	SoftOpenFiles:     "Max open files",
	PendingSignals:    "Max pending signals",
	RealtimePriority:  "Max realtime priority",
	ResidentBytes:     "Max resident set",
	StackBytes:        "Max stack size",
	UserProcesses:     "Max processes",
}

// limitsIn parses the soft and hard limits of /proc/PID/limits.
func limitsIn(text string) map[Resource][2]string {
	all := make(map[Resource][2]string)
	for line := range strings.Lines(text) {
		for name, row := range rowOf {
			if rest, ok := strings.CutPrefix(line, row+" "); ok {
				fields := strings.Fields(rest)
				all[name] = [2]string{fields[0], fields[1]}
			}
		}
	}
	return all
}

// TestAttributesApplyFromFirstInstruction checks that the program and its children have the
// attributes, and that this process and later commands do not.
func TestAttributesApplyFromFirstInstruction(t *testing.T) {
	const print = `umask; nice; cat /proc/self/limits`
	umask, nice := 0o27, 7
	soft := SoftLimits{
		AddressSpaceBytes: 8 << 30, CoreBytes: 4096, SoftCPUSeconds: 50, DataBytes: 4 << 30, SoftFileBytes: 1 << 30, LockedBytes: 4096,
		MessageQueueBytes: 4096, NiceCeiling: 0, SoftOpenFiles: 77, PendingSignals: 99, RealtimePriority: 0, ResidentBytes: 1 << 30,
		StackBytes: 3 << 20, UserProcesses: 1000,
	}
	eachGate(t, func(t *testing.T, h *Host) {
		plain, _ := runOn(t, h, sh(print))
		hard := limitsIn(plain)
		out, exit := runOn(t, h, with(sh(print+"; sh -c '"+print+"'"), Attributes{Umask: &umask, Nice: &nice, Soft: soft}))
		if exit.Code != 0 {
			t.Fatalf("%+v", exit)
		}
		half := len(out) / 2
		if out[:half] != out[half:] || !strings.HasPrefix(out, "0027\n7\n") {
			t.Errorf("output %q", out)
		}
		got := limitsIn(out[:half])
		for name, value := range soft {
			if want := [2]string{fmt.Sprint(value), hard[name][1]}; got[name] != want {
				t.Errorf("%s: %v, want %v", name, got[name], want)
			}
		}
		if len(got) != len(soft) || len(soft) != len(numberOf) {
			t.Errorf("%d limits are checked, want %d", len(got), len(numberOf))
		}
		after, _ := runOn(t, h, sh(print))
		if now := limitsIn(after); !maps.Equal(now, hard) || after[:7] != plain[:7] {
			t.Errorf("output %q of a later command, %q before", after, plain)
		}
	})
}

// TestEachAttribute checks each kind of attribute alone.
func TestEachAttribute(t *testing.T) {
	umask, nice := 0o77, 3
	eachGate(t, func(t *testing.T, h *Host) {
		for name, c := range map[string]struct {
			a            Attributes
			script, want string
		}{
			"umask": {Attributes{Umask: &umask}, "umask", "0077\n"},
			"nice":  {Attributes{Nice: &nice}, "nice", "3\n"},
			"files": {Attributes{Soft: SoftLimits{SoftOpenFiles: 50}}, "ulimit -Sn", "50\n"},
			"stack": {Attributes{Soft: SoftLimits{StackBytes: 1 << 20}}, "ulimit -Ss", "1024\n"},
			"none":  {Attributes{Soft: SoftLimits{StackBytes: Unlimited}}, `a=$(ulimit -Ss); [ "$a" = "$(ulimit -Hs)" ] && echo most`, "most\n"},
		} {
			spec := sh(c.script)
			if out, exit := runOn(t, h, with(spec, c.a)); out != c.want || exit.Code != 0 {
				t.Errorf("%s: output %q, exit %+v", name, out, exit)
			}
		}
		p := startOn(t, h, with(onTerminal(sh("umask; stty size")), Attributes{Umask: &umask}))
		if out, err := readAll(p.Stdout()); out != "0077\r\n24 80\r\n" || err != nil {
			t.Errorf("on a terminal: %q, %v", out, err)
		}
	})
}

// TestSoftLimitsAreBounded checks that soft limits are at most the hard limits, and at most the
// limits of the tree.
func TestSoftLimitsAreBounded(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		out, _ := runOn(t, h, with(sh("ulimit -Sn; ulimit -Hn"), Attributes{Soft: SoftLimits{SoftOpenFiles: Unlimited}}))
		if files := strings.Fields(out); len(files) != 2 || files[0] != files[1] {
			t.Errorf("output %q", out)
		}
		for soft, want := range map[uint64]string{20: "20\n60\n", 70: "60\n60\n", Unlimited: "60\n60\n"} {
			spec := limited(sh("ulimit -Sn; ulimit -Hn"), Limits{OpenFiles: 60})
			if out, _ := runOn(t, h, with(spec, Attributes{Soft: SoftLimits{SoftOpenFiles: soft}})); out != want {
				t.Errorf("soft limit %d of open files: output %q, want %q", soft, out, want)
			}
		}
		spec := limited(sh("ulimit -St; ulimit -Ht"), Limits{CPUSeconds: 30})
		if out, _ := runOn(t, h, with(spec, Attributes{Soft: SoftLimits{SoftCPUSeconds: 31}})); out != "30\n31\n" {
			t.Errorf("soft limit of processor time: output %q", out)
		}
	})
}

// TestAttributesOfEachContainment checks that attributes do not affect the containment.
func TestAttributesOfEachContainment(t *testing.T) {
	umask, nice := 0o77, 5
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		t.Run(string(kind), func(t *testing.T) {
			h := openHost(t, kind)
			for name, a := range map[string]Attributes{
				"umask": {Umask: &umask}, "nice": {Nice: &nice}, "soft": {Soft: SoftLimits{CoreBytes: 0, SoftOpenFiles: 60}},
			} {
				descendant := "setsid sleep 60 & "
				if kind == Group {
					descendant = "sleep 60 & "
				}
				spec, tag := withTag(with(sh(descendant+"echo up; exec sleep 60"), a))
				p := startOn(t, h, spec)
				if got := readLine(t, p.Stdout()); got != "up" || p.Containment() != kind {
					t.Errorf("%s: %q, %s", name, got, p.Containment())
				}
				finish(p)
				if left := aliveWithTag(tag); len(left) > 0 {
					t.Errorf("%s: processes %v are alive", name, left)
				}
			}
		})
	}
}

// TestInheritedAttributesNeedNoGate checks that attributes which a command inherits anyway are not
// set.
func TestInheritedAttributesNeedNoGate(t *testing.T) {
	umask, err1 := procfs.OwnUmask()
	nice, err2 := spawn.OwnNice()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	changeOwnFiles(t)
	h := openHost(t, Auto)
	out, _ := runOn(t, h, sh("umask; nice; ulimit -Sn"))
	var files uint64
	var gotUmask, gotNice int
	if _, err := fmt.Sscanf(out, "%o\n%d\n%d\n", &gotUmask, &gotNice, &files); err != nil || gotUmask != umask || gotNice != nice {
		t.Fatalf("%q, %v; umask %o, nice %d", out, err, umask, nice)
	}
	a := Attributes{Umask: &umask, Nice: &nice, Soft: SoftLimits{SoftOpenFiles: files}}
	for name, number := range numberOf {
		var limit unix.Rlimit
		if err := unix.Getrlimit(number, &limit); err != nil {
			t.Fatal(err)
		}
		if name != SoftOpenFiles {
			a.Soft[name] = limit.Cur
		}
	}
	if c := a.changed(nil); len(c.Soft) != 1 || c.Umask != nil || c.Nice != nil {
		t.Errorf("changed = %+v before a child was seen, want open files only", c)
	}
	if out, exit := runOn(t, h, with(sh("ulimit -Sn"), a)); out != fmt.Sprintln(files) || exit.Code != 0 {
		t.Errorf("output %q, exit %+v", out, exit)
	}
	if c := a.changed(nil); c.differ() {
		t.Errorf("changed = %+v after a child was seen, want nothing", c)
	}
	a.Soft[SoftOpenFiles] = 40
	if c := a.changed(nil); len(c.Soft) != 1 {
		t.Errorf("changed = %+v for another limit of open files", c)
	}
	if c := a.changed(Limits{CPUSeconds: 5}); len(c.Soft) != 2 {
		t.Errorf("changed = %+v with a limit of processor time, want both limits", c)
	}
}

// changeOwnFiles changes the soft RLIMIT_NOFILE of this process for the test, after which it is not
// known what children inherit. It bypasses package syscall, which would give children the new
// limit.
func changeOwnFiles(t *testing.T) {
	t.Helper()
	set := func(l unix.Rlimit) {
		if _, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&l)), 0, 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	set(unix.Rlimit{Cur: old.Cur - 1, Max: old.Max})
	t.Cleanup(func() { set(old) })
}

// TestForbiddenNice checks the error for a nice value that this process may not set, and that no
// process is left.
func TestForbiddenNice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: dropping a capability needs root")
	}
	for name, untraced := range map[string]bool{"traced": false, "step": true} {
		t.Run(name, func(t *testing.T) {
			before := len(children())
			h := newHost(leader.System()) // which forks on the calling thread
			h.preparer.(*limiter).untraced = untraced
			lower := -5
			var err error
			withoutNice(t, func() {
				_, err = h.Start(with(sh("true"), Attributes{Nice: &lower}))
			})
			if e, ok := errors.AsType[*AttributeError](err); !ok || e.Attribute != NiceAttribute || e.Errno != syscall.EACCES && e.Errno != syscall.EPERM {
				t.Errorf("%v", err)
			}
			if now := children(); len(now) > before {
				t.Errorf("%d children before, %v after", before, now)
			}
		})
	}
	if MinNice() != -20 {
		t.Errorf("MinNice = %d for root", MinNice())
	}
}

// withoutNice runs f on a thread without CAP_SYS_NICE, which the programs that it executes cannot
// get either.
func withoutNice(t *testing.T, f func()) {
	t.Helper()
	proctest.OnThread(func() {
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		err := unix.Capget(&head, &sets[0])
		sets[0].Effective &^= 1 << unix.CAP_SYS_NICE
		sets[0].Permitted &^= 1 << unix.CAP_SYS_NICE
		err = errors.Join(err, unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_NICE, 0, 0, 0), unix.Capset(&head, &sets[0]))
		if err != nil {
			t.Error(err)
			return
		}
		f()
	})
}

// TestUmaskOfFiles checks that the umask applies to created files.
func TestUmaskOfFiles(t *testing.T) {
	eachGate(t, func(t *testing.T, h *Host) {
		file := filepath.Join(t.TempDir(), "file")
		umask := 0o137
		runOn(t, h, with(sh("echo x >"+file), Attributes{Umask: &umask}))
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
	})
}
