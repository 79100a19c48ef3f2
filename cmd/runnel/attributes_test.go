package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// TestAttributesOfTheCaller: a command has the umask, the nice value and the soft limits of run.
func TestAttributesOfTheCaller(t *testing.T) {
	if len(process.SettableAttributes) == 0 {
		t.Skip("this system cannot set attributes")
	}
	const printAttributes = "umask; nice; ulimit -Sn; ulimit -Sc; ulimit -Ss; ulimit -Sf; ulimit -St; touch made"
	own, err := exec.Command("nice").Output()
	if err != nil {
		t.Fatal(err)
	}
	nice, err := strconv.Atoi(strings.TrimSpace(string(own)))
	if err != nil {
		t.Fatal(err)
	}
	nice = min(nice+3, 19) // the greatest one
	withAndWithoutServer(t, func(t *testing.T, p *testDir) {
		x := p.start(t, "sh", "-c", `umask 027; ulimit -Sn 321; ulimit -Sc 0; ulimit -Ss 1234; ulimit -Sf 123456
			ulimit -St 1000; exec nice -n 3 runnel run -c "$0"`, printAttributes)
		expectEqual(t, x.readAll(), fmt.Sprint("0027\n", nice, "\n321\n0\n1234\n123456\n1000\n"))
		x.expectExit(0)
		expectEqual(t, x.stderrText(), "")
		if info, err := os.Stat(filepath.Join(p.dir, "made")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// TestAttributesAServerCanSet: only attributes that the server can set are added. A nice value
// below its minimum becomes the minimum.
func TestAttributesAServerCanSet(t *testing.T) {
	var p rpc.ExecuteParams
	attributes{nice: -5}.addTo(&p, rpc.Connected{Capabilities: []string{"nice"}, Limits: rpc.Bounds{MinNice: 2}})
	if p.Nice == nil || *p.Nice != 2 || p.Umask != nil || p.SoftLimits != nil {
		t.Errorf("%+v", p)
	}
}
