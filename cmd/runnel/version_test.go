package main

import (
	"os"
	"os/exec"
	"runtime/debug"
	"testing"
)

func TestBuildVersion(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"}
	leakCheck := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		module   string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", nil, "v1.2.3"},
		{"v0.0.0-20260102030405-0123abcd+dirty", []debug.BuildSetting{revision, dirty}, "v0.0.0-20260102030405-0123abcd+dirty"},
		{"(devel)", []debug.BuildSetting{revision, leakCheck}, "0123abcd"},
		{"", []debug.BuildSetting{revision, dirty}, "0123abcd+dirty"},
		{"(devel)", nil, "(devel)"},
		{"", nil, "(devel)"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.module}, Settings: c.settings}
		if got := buildVersion(info); got != c.want {
			t.Errorf("module version %q, settings %v: got %q, want %q", c.module, c.settings, got, c.want)
		}
	}
}

// TestRelease installs the program as README.md says, with a tag as docs/contributing.md describes it, once for all
// checks: the linker takes seconds.
func TestRelease(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	install := exec.Command("go", "install", "-ldflags", "-X main.tag=v1.2.3", "./cmd/runnel")
	install.Dir, install.Env = "../..", append(os.Environ(), "GOBIN="+p.path("bin"))
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program := p.path("bin/runnel")
	t.Run("version", func(t *testing.T) {
		if out, err := exec.Command(program, "version").Output(); err != nil || string(out) != "runnel v1.2.3\n" {
			t.Errorf("output is %q, error %v", out, err)
		}
	})
	t.Run("keeper", func(t *testing.T) { checkKeeperIsSmall(t, p, program) })
}
