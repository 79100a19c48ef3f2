package process

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/bubblewrap"
	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/kernel"
	"github.com/runnel-rpc/runnel/process/internal/landlock"
	"github.com/runnel-rpc/runnel/process/internal/seccomp"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// sandboxes is what a Host knows about sandboxes. The zero value looks for bwrap in PATH and hides
// nothing.
type sandboxes struct {
	program  string   // the path of bwrap, "" to look for it
	hidden   []string // in every sandbox
	tmpBytes int64    // see Options.SandboxTmpBytes
	readOnly []string // in every sandbox, see Options.ReadOnlyInSandboxes
	fixed    []string // see Host.ReadOnlyInSandboxes

	// ruleFiles and anchors bound what all starts have open together. A start that has some of the
	// second waits for nothing, so those of the first may be kept while it waits for the second.
	ruleFiles, anchors descriptorBound

	mu     sync.Mutex // for the next two
	cancel context.CancelFunc
	done   chan struct{} // is closed when machine is valid; nil before the first probe
	machine
}

// machine is what this machine can do.
type machine struct {
	bwrap         bubblewrap.Support
	inside        bool   // Landlock can add to namespaces
	nothing       string // why no sandbox can be made, "" if some can
	landlockAlone sandbox.Support
}

// probe returns what the machine can do. It tries that once.
func (s *sandboxes) probe(ctx context.Context, p containment.Provider) (*machine, error) {
	s.mu.Lock()
	if s.done == nil {
		probing, cancel := context.WithCancel(context.Background())
		s.cancel, s.done = cancel, make(chan struct{})
		go s.try(probing, p, s.done)
	}
	done := s.done
	s.mu.Unlock()
	select {
	case <-done:
		return &s.machine, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *sandboxes) try(ctx context.Context, p containment.Provider, done chan struct{}) {
	defer close(done)
	s.machine = machine{nothing: whyNothing()}
	if s.nothing != "" {
		return
	}
	s.machine = machine{
		bwrap:         bubblewrap.Probe(ctx, s.program, p.ForkHelper, p.Observer()),
		inside:        landlock.InsideSupported(),
		landlockAlone: landlock.Support(),
	}
}

// close ends a probe that is running. The host of a nil Host may be used again, and then probes again.
func (s *sandboxes) close() {
	s.mu.Lock()
	cancel, done := s.cancel, s.done
	s.done = nil
	s.mu.Unlock()
	if done != nil {
		cancel()
		<-done
		s.bwrap.Close()
	}
}

func (h *Host) hiddenFromSandboxes() []string { return h.sandboxes.hidden }

func (h *Host) readOnlyInSandboxes() []string { return h.sandboxes.fixed }

func (h *Host) sandboxSupport(ctx context.Context) sandbox.Support {
	m, err := h.sandboxes.probe(ctx, h.provider)
	if err != nil {
		s := sandbox.Support{Why: make(map[sandbox.Part]string)}
		for _, part := range sandbox.Parts {
			s.Why[part] = err.Error()
		}
		return s
	}
	return m.support()
}

// whyNothing says why no sandbox can be made, "" if that is not so. The filter is a part of every
// sandbox, and the files of a command are opened by openat2(2).
func whyNothing() string {
	if why := seccomp.WhyNot(); why != "" {
		return why
	}
	fd, err := openPath("/", 0)
	switch {
	case err == unix.ENOSYS:
		return kernel.Absent("openat2(2)", 5, 6)
	case err != nil:
		return "openat2(2) fails: " + err.Error()
	}
	_ = unix.Close(fd)
	return ""
}

// LandlockABI returns the version of Landlock that this process can use, or 0 and why it can use none:
// ENOSYS, EOPNOTSUPP, or EPERM if a filter of system calls refuses it.
func LandlockABI() (int, error) {
	abi, errno := landlock.Version()
	if errno != 0 {
		return 0, errno
	}
	return abi, nil
}

// FilterRefuses reports whether a filter of system calls, such as that of a container, refuses to make
// user namespaces and mounts.
func FilterRefuses() (namespaces, mounts bool) {
	return kernel.RefusesNamespaces(), kernel.RefusesMounts()
}

// support returns what can be enforced.
func (m *machine) support() sandbox.Support {
	s := sandbox.Support{By: make(map[sandbox.Part]sandbox.Mechanism), Why: make(map[sandbox.Part]string), Detail: m.bwrap.Detail}
	for _, part := range sandbox.Parts {
		switch {
		case m.nothing != "":
			s.Why[part] = m.nothing
		case m.bwrap.Works():
			s.By[part] = m.byNamespaces(part)
		default:
			if by := m.byLandlock(part); by != "" {
				s.By[part] = by
			} else {
				s.Why[part] = m.why(part, m.bwrap.Why)
			}
			if part == sandbox.MetadataPart && s.By[part] != "" {
				s.Why[part] = m.landlockAlone.Why[part] // it is enforced only if no file is writable
			}
		}
	}
	return s
}

// byNamespaces returns what enforces a part that is not shared.
func (m *machine) byNamespaces(part sandbox.Part) sandbox.Mechanism {
	switch {
	case part == sandbox.FilesPart && m.inside:
		return sandbox.BubblewrapLandlock
	case part == sandbox.FilesPart || part == sandbox.TmpPart || part == sandbox.MetadataPart:
		return sandbox.Bubblewrap
	}
	return sandbox.Namespace
}

// byLandlock is byNamespaces without namespaces; "" is nothing.
func (m *machine) byLandlock(part sandbox.Part) sandbox.Mechanism {
	if (part == sandbox.NetworkPart || part == sandbox.MetadataPart) && m.landlockAlone.By[sandbox.FilesPart] != "" {
		return sandbox.Seccomp
	}
	return m.landlockAlone.By[part]
}

// why says why a part cannot be enforced. noNamespaces is why there are no namespaces.
func (m *machine) why(part sandbox.Part, noNamespaces string) string {
	why := m.landlockAlone.Why[part]
	if why == "" {
		why = m.landlockAlone.Why[sandbox.FilesPart]
	}
	return reasons(noNamespaces, why)
}

// reasons joins the reason why there are no namespaces, "" for none, with what follows from it.
func reasons(noNamespaces, why string) string {
	if noNamespaces == "" {
		return why
	}
	return noNamespaces + "; " + why
}

func (h *Host) enforceSandbox(c *sandbox.Config) (sandbox.Report, error) {
	m, err := h.sandboxes.probe(context.Background(), h.provider)
	if err != nil {
		return sandbox.Report{}, err
	}
	_, report, err := m.choose(c, false)
	return report, err
}

// method is how a sandbox is enforced.
type method struct {
	namespaces bool
	userNS     bool
	landlock   bool // adds to namespaces, or enforces all
}

// choose returns how a sandbox is enforced for a command, which has another user if otherUser is true.
// The error is a *sandbox.NotEnforceableError.
func (m *machine) choose(c *sandbox.Config, otherUser bool) (how method, r sandbox.Report, err error) {
	switch {
	case m.nothing != "":
		return how, r, notEnforceable(sandbox.FilesPart, m.nothing)
	case m.bwrap.Plain || m.bwrap.UserNS && !otherUser:
		how = method{namespaces: true, userNS: !m.bwrap.Plain, landlock: m.inside}
		// /proc/PID/root of another process of the user leads out of the mount namespace.
		if c.Processes == sandbox.Shared && !how.landlock && !how.userNS {
			if !m.bwrap.UserNS || otherUser {
				return how, r, notEnforceable(sandbox.ProcessesPart, "to share them is possible with Landlock or a user namespace only")
			}
			how.userNS = true
		}
		return how, m.report(c, m.byNamespaces), nil
	}
	noNamespaces := m.bwrap.Why
	if m.bwrap.UserNS {
		noNamespaces = "a command of another user than the server's has no user namespace, and without one: " + m.bwrap.WhyNotPlain
	}
	if err := m.landlockOnly(c, noNamespaces); err != nil {
		return how, r, err
	}
	return method{landlock: true}, m.report(c, m.byLandlock), nil
}

// landlockOnly returns an error for what Landlock and the filter cannot enforce. noNamespaces is why
// there are no namespaces.
func (m *machine) landlockOnly(c *sandbox.Config, noNamespaces string) error {
	if err, ok := errors.AsType[*sandbox.NotEnforceableError](landlock.AloneEnforces(c)); ok {
		return &sandbox.NotEnforceableError{Field: err.Field, Why: reasons(noNamespaces, err.Why)}
	}
	if c.Metadata != sandbox.FullMetadata && slices.ContainsFunc(c.Files, func(r sandbox.Rule) bool { return r.Access == sandbox.Write }) {
		return notEnforceable(sandbox.MetadataPart, m.why(sandbox.MetadataPart, noNamespaces))
	}
	return nil
}

func notEnforceable(part sandbox.Part, why string) error {
	return &sandbox.NotEnforceableError{Field: string(part), Why: why}
}

// report says what enforces a sandbox.
func (m *machine) report(c *sandbox.Config, by func(sandbox.Part) sandbox.Mechanism) sandbox.Report {
	r := sandbox.Report{Config: *c, Files: by(sandbox.FilesPart)}
	if c.Network.Mode != sandbox.FullNetwork {
		r.Network = by(sandbox.NetworkPart)
	}
	if c.Processes == sandbox.Own {
		r.Processes = by(sandbox.ProcessesPart)
	}
	if c.Tmp == sandbox.Private {
		r.Tmp = by(sandbox.TmpPart)
	}
	if how := by(sandbox.MetadataPart); c.Metadata != sandbox.FullMetadata || how == sandbox.Bubblewrap { // mounts refuse it in any case
		r.Metadata = how
	}
	return r
}
