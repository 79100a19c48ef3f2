package bubblewrap

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// TestMissingNamespace checks that a bwrap that does not make a namespace is noticed, at the probe and
// at a start.
func TestMissingNamespace(t *testing.T) {
	bwrap := program(t)
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	for option, name := range map[string]string{"--unshare-net": "net", "--unshare-ipc": "ipc", "--unshare-uts": "uts"} {
		path := filepath.Join(t.TempDir(), "bwrap")
		script := "#!/usr/bin/env bash\n" + // --args FD has the other arguments
			`list=$(tr '\000' '\n' <&"$2" | grep -vx -e ` + option + ")\n" +
			`exec {args}< <(printf '%s\n' "$list" | tr '\n' '\000')` + "\n" +
			`shift 2; exec ` + bwrap + ` --args "$args" "$@"` + "\n"
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		want := "bwrap has made no " + name + " namespace"
		s := Probe(context.Background(), path, noMarks, nil)
		if s.Close(); s.Works() || !strings.Contains(s.Detail, want) {
			t.Errorf("%s: %+v", option, s)
		}
		n, err := Start(context.Background(), newConfig(t, path, !support(bwrap).Plain), noMarks)
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// TestSeparate checks each namespace of a sandbox that shares some.
func TestSeparate(t *testing.T) {
	eachKind(t, func(t *testing.T, c *Config) {
		c.Sandbox.Network.Mode = sandbox.FullNetwork
		n := mustStart(t, c)
		for _, namespace := range namespaces {
			has := n.Flags&namespace.flag != 0
			if err := separate(n.PIDFD, namespace.flag); has != (err == nil) {
				t.Errorf("%s: %v, %v", namespace.name, has, err)
			}
		}
		n.Close()
		if err := separate(n.PIDFD, unix.CLONE_NEWNS); err == nil {
			t.Error("no error after the end")
		}
	})
}

func BenchmarkSeparate(b *testing.B) {
	n := mustStart(b, basic(b))
	for b.Loop() {
		if err := separate(n.PIDFD, n.Flags); err != nil {
			b.Fatal(err)
		}
	}
}
