//go:build linux

package process

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// helperPreparer does for every command what a sandbox would do: it puts a helper in front of the
// program, and gives it a variable and a file.
type helperPreparer struct {
	preparer
	helper   string // the path of the helper
	step     bool   // the start needs the exec step
	released int    // how often a preparation was released
}

func (h *helperPreparer) prepare(c *spawn.Command, spec *Spec, start containment.Start) (preparation, error) {
	p, err := h.preparer.prepare(c, spec, start)
	if err != nil {
		return nil, err
	}
	file, err := os.Open("/proc/version")
	if err != nil {
		p.release()
		return nil, err
	}
	c.Path, c.Argv = h.helper, append([]string{"env", "FROM=helper"}, c.Argv...)
	c.Attr.Files = append(c.Attr.Files, file.Fd())
	if h.step {
		if c.Setup == nil {
			c.Setup = &spawn.Setup{}
		}
		c.Setup.Untraced = true
	}
	return &helperPreparation{p, h, file}, nil
}

type helperPreparation struct {
	preparation
	preparer *helperPreparer
	file     *os.File
}

func (p *helperPreparation) release() {
	p.preparation.release()
	_ = p.file.Close()
	p.preparer.released++
}

// TestPreparer checks that a preparer may change the program, its arguments and its files, with and
// without limits, and that each preparation is released once.
func TestPreparer(t *testing.T) {
	for name, c := range map[string]struct {
		step bool
		l    Limits
	}{
		"no gate": {}, "traced": {l: Limits{OpenFiles: 40}}, "step": {step: true}, "step with limits": {true, Limits{OpenFiles: 40}},
	} {
		t.Run(name, func(t *testing.T) {
			h := openHost(t, Auto)
			helper := &helperPreparer{preparer: h.preparer, helper: "/usr/bin/env", step: c.step}
			h.preparer = helper
			spec := limited(sh(`echo $FROM $(readlink /proc/$$/fd/3); [ -e /proc/$$/fd/4 ] || ulimit -n`), c.l)
			out, exit := runOn(t, h, spec)
			plain, _ := run("sh", "-c", "ulimit -n")
			if c.l != nil {
				plain = "40\n"
			}
			if want := "helper /proc/version\n" + plain; out != want || exit.Code != 0 || helper.released != 1 {
				t.Errorf("output %q, want %q; exit %+v, released %d times", out, want, exit, helper.released)
			}
			helper.helper = "/no/such/helper"
			if _, err := h.Start(spec); !errors.Is(err, syscall.ENOENT) || helper.released != 2 {
				t.Errorf("without the helper: error %v, released %d times", err, helper.released)
			}
		})
	}
}
