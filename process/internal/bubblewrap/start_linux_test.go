package bubblewrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

func TestProbe(t *testing.T) {
	s := Probe(context.Background(), "", noMarks, nil)
	defer s.Close()
	t.Logf("%+v", s)
	if !s.Works() {
		proctest.SkipUnlessRequired(t, "bubblewrap", s.Why)
	}
}

// TestAsNobody runs tests of the real bwrap as a user without privileges.
func TestAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		proctest.SkipUnlessRequired(t, "root", "not root")
	}
	program(t)
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "runnel-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(dir+"/test", text, 0o755), os.Chmod(dir+"/test", 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.v", "-test.run=^Test(Files|System|Nothing|Ruleset|Landlock|Holder|Orphans|Network|Listener|Flags|Setns|Probe|End)")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "TMPDIR=" + dir}
	if proctest.Required("bubblewrap") {
		cmd.Env = append(cmd.Env, "RUNNEL_TEST_REQUIRE=bubblewrap")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestSetns")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestExplain(t *testing.T) {
	for message, want := range map[string]string{
		"bwrap: Unknown option --bind-fd":                         "too old",
		"bwrap: No permissions to creating new namespace, likely": "namespaces",
		"bwrap: Can't mount proc on /newroot/proc: Permission":    "/proc",
		"bwrap: nesting depth exceeded (ENOSPC)":                  "namespaces may be made",
		"bwrap: something else":                                   "making the namespaces failed",
	} {
		c := fake(t, "echo \""+message+"\" >&2; exit 1")
		s := Probe(context.Background(), c.Program.Path, noMarks, nil)
		if s.Works() || !strings.Contains(s.Why, want) || !strings.Contains(s.Detail, want) || !strings.Contains(s.Detail, message) {
			t.Errorf("%s: %+v", message, s)
		}
		if strings.Contains(s.Why, c.Program.Path) || strings.Contains(s.Why, message) || !strings.Contains(s.Detail, c.Program.Path) {
			t.Errorf("%s: the path and the output of bwrap are in the wrong place: %+v", message, s)
		}
	}
	if s := Probe(context.Background(), "/none/bwrap", noMarks, nil); s.Works() || strings.Contains(s.Why, "/") || !strings.Contains(s.Detail, "/none/bwrap") {
		t.Errorf("%+v", s)
	}
	c := fake(t, "exit 0")
	if err := os.Chmod(c.Program.Path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if s := Probe(context.Background(), c.Program.Path, noMarks, nil); s.Works() || !strings.Contains(s.Why, "set-user-ID") || strings.Contains(s.Why, c.Program.Path) {
		t.Errorf("%+v", s)
	}
	t.Setenv("PATH", t.TempDir())
	if s := Probe(context.Background(), "", noMarks, nil); s.Works() || !strings.Contains(s.Why, "not installed") {
		t.Errorf("%+v", s)
	}
}

// BenchmarkStart measures the time until a sandbox is made, and until it has ended.
func BenchmarkStart(b *testing.B) {
	c := basic(b)
	var starts, closes []time.Duration
	for b.Loop() {
		begin := time.Now()
		n, err := Start(context.Background(), c, noMarks)
		if err != nil {
			b.Fatal(err)
		}
		starts = append(starts, time.Since(begin))
		begin = time.Now()
		n.Close()
		closes = append(closes, time.Since(begin))
	}
	b.ReportMetric(median(starts), "start-ms")
	b.ReportMetric(median(closes), "close-ms")
	b.ReportMetric(float64(starts[len(starts)/10].Microseconds())/1000, "start-p10-ms")
}

func median(list []time.Duration) float64 {
	slices.Sort(list)
	return float64(list[len(list)/2].Microseconds()) / 1000
}

// BenchmarkReplica makes a sandbox with a number of files beside a hidden one.
func BenchmarkReplica(b *testing.B) {
	for _, beside := range []int{-1, 0, 8, maxBeside} {
		b.Run(fmt.Sprintf("beside=%d", beside), func(b *testing.B) {
			c := basic(b)
			dir := tree(b, c, "d/token")
			for i := range beside {
				if err := os.WriteFile(fmt.Sprintf("%s/d/%d", dir, i), nil, 0o644); err != nil {
					b.Fatal(err)
				}
			}
			if beside >= 0 {
				c.Hidden = []string{dir + "/d/token"}
			}
			for b.Loop() {
				n, err := Start(context.Background(), c, noMarks)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				n.Close()
				b.StartTimer()
			}
		})
	}
}
