package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// What a command inherits is its caller's, on a server as here.
func TestAttributesOfTheCaller(t *testing.T) {
	if len(process.Settable) == 0 {
		t.Skip("this system has no way to set them")
	}
	const tell = "umask; nice; ulimit -Sn; ulimit -Sc; ulimit -Ss; ulimit -Sf; ulimit -St; touch made"
	everywhere(t, func(t *testing.T, p *place) {
		x := p.start(t, "sh", "-c", `umask 027; ulimit -Sn 321; ulimit -Sc 0; ulimit -Ss 1234; ulimit -Sf 123456
			ulimit -St 1000; exec nice -n 3 runnel run -c "$0"`, tell)
		same(t, x.rest(), "0027\n3\n321\n0\n1234\n123456\n1000\n")
		x.exits(0)
		same(t, x.errors(), "")
		if info, err := os.Stat(filepath.Join(p.dir, "made")); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
	})
}

// A server is told what it announces that it can set. A nice value lower than it may set is no error.
func TestAttributesAServerCanSet(t *testing.T) {
	var p rpc.ExecuteParams
	attributes{nice: -5}.addTo(&p, rpc.Connected{Capabilities: []string{"nice"}, Limits: rpc.Bounds{MinNice: 2}})
	if p.Nice == nil || *p.Nice != 2 || p.Umask != nil || p.SoftLimits != nil {
		t.Errorf("%+v", p)
	}
}
