//go:build linux

package escape

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// hosts are the hosts of all tests, by the path of bwrap. They are opened once.
var hosts = struct {
	sync.Mutex
	open map[string]*process.Host
}{open: map[string]*process.Host{}}

// hostWith returns the host that makes sandboxes with a program, "" for that in PATH. It contains
// trees by their groups: with marks, what tests start meanwhile would be members.
func hostWith(bubblewrap string) (*process.Host, error) {
	hosts.Lock()
	defer hosts.Unlock()
	if h := hosts.open[bubblewrap]; h != nil {
		return h, nil
	}
	h, err := process.Open(process.Options{
		Containment: process.Group, Bubblewrap: bubblewrap, HideFromSandboxes: []string{serverDir()},
	})
	if err == nil {
		hosts.open[bubblewrap] = h
	}
	return h, err
}

func closeHosts() (err error) {
	hosts.Lock()
	defer hosts.Unlock()
	for _, h := range hosts.open {
		err = errors.Join(err, h.Close())
	}
	return err
}

// noBubblewrap is the path of a program that does not exist.
const noBubblewrap = "/nonexistent/bwrap"

// bySpec is a jail that a Spec asks for.
func bySpec(name, bubblewrap string, needs []string, promises ...part) jail {
	return jail{
		name: name, needs: needs, promises: promises,
		unavailable: func() string {
			h, err := hostWith(bubblewrap)
			if err != nil {
				return err.Error()
			}
			support := h.SandboxSupport(context.Background())
			if slices.Contains(promises, nested) && support.By[sandbox.ProcessesPart] == "" {
				return support.Why[sandbox.ProcessesPart]
			}
			return support.Why[sandbox.FilesPart]
		},
		start: func(t testing.TB, w *world, c command) *running {
			if bubblewrap == noBubblewrap {
				w.config.Processes, w.config.Metadata = sandbox.Shared, sandbox.FullMetadata // the others cannot be enforced
			}
			return startSpec(t, w, c, bubblewrap)
		},
	}
}

// startSpec starts a command by package process.
func startSpec(t testing.TB, w *world, c command, bubblewrap string) *running {
	t.Helper()
	h, err := hostWith(bubblewrap)
	if err != nil {
		t.Fatal(err)
	}
	spec := process.Spec{
		Argv: c.argv, Dir: w.Work, Env: append(environment(), c.env...), Stdin: true, MergeStderr: true, Sandbox: w.config,
		User: userOf(w),
	}
	var proxy *egress.Proxy
	if w.config.Network.Mode == sandbox.AllowList {
		spec.Connections = func(l net.Listener) []string {
			proxy = egress.Start(l, egress.Options{Allow: w.config.Network.Allow})
			return egress.Environment(l.Addr())
		}
	}
	if c.terminal {
		spec.Terminal = &process.Terminal{Rows: 24, Cols: 80}
	}
	p, err := h.Start(spec)
	if err != nil {
		return &running{stdin: io.Discard, stdout: strings.NewReader(startFailed + err.Error() + why(err) + "\n"), end: func() {}}
	}
	return &running{stdin: p.Stdin(), stdout: &pipeReader{pipe: p.Stdout()}, end: func() {
		_ = p.WaitExit()
		p.Sweep(context.Background(), 0)
		_, _ = p.Reap()
		p.Close()
		if proxy != nil {
			proxy.Close()
		}
	}}
}

// userOf returns the user of a command, nil for that of this process.
func userOf(w *world) *process.User {
	if os.Geteuid() != 0 || w.uid == 0 {
		return nil
	}
	return &process.User{UID: uint32(w.uid), GID: uint32(w.uid)}
}

// pipeReader reads a pipe and waits for what comes.
type pipeReader struct{ pipe *process.Pipe }

func (r *pipeReader) Read(b []byte) (int, error) {
	for {
		n, err := r.pipe.ReadNow(func() []byte { return b })
		if err != process.ErrWouldBlock {
			return n, err
		}
		ready := make(resumed)
		r.pipe.Park(ready)
		<-ready
	}
}

// resumed is closed when a pipe is to be read again.
type resumed chan struct{}

func (c resumed) Resume() { close(c) }

// why returns what only operators get to know about a failed start.
func why(err error) string {
	if failed, ok := errors.AsType[*process.SandboxError](err); ok && failed.Why != nil {
		return ": " + failed.Why.Error()
	}
	return ""
}
