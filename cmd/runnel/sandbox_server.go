package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc/sandboxfile"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// serveSandboxFlags are the flags of serve for sandboxes.
type serveSandboxFlags struct {
	profileFlags    `embed:""`
	SandboxDefault  *string `help:"Profile of the sandbox that every command gets; a request can only permit less. Default: none." placeholder:"PROFILE" env:"RUNNEL_SANDBOX_DEFAULT"`
	bubblewrapFlags `embed:""`
}

type profileFlags struct {
	SandboxProfiles string `help:"File with profiles of sandboxes, and with what no command in a sandbox may reach." placeholder:"FILE" env:"RUNNEL_SANDBOX_PROFILES"`
}

type bubblewrapFlags struct {
	Bubblewrap string `help:"Path of bubblewrap's program bwrap, which makes the namespaces of sandboxes. Default: the one in PATH." placeholder:"PATH" env:"RUNNEL_BUBBLEWRAP"`
}

// program returns the absolute path of --bubblewrap, or "". It must be a program that only its owner,
// who is this user or root, may change: it runs with the rights of the server.
func (f *bubblewrapFlags) program() (string, error) {
	if f.Bubblewrap == "" {
		return "", nil
	}
	path, err := filepath.Abs(f.Bubblewrap)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		err = errors.New("not a program")
	default:
		err = checkOperatorFile(info)
	}
	if err != nil {
		return "", fmt.Errorf("--bubblewrap: %w", withName(path, err))
	}
	return path, nil
}

// readProfiles reads the file of --sandbox-profiles. Nil has the built-in profiles.
func (f *profileFlags) readProfiles() (*sandbox.Profiles, error) {
	if f.SandboxProfiles == "" {
		return nil, nil
	}
	return readProfiles("--sandbox-profiles", f.SandboxProfiles)
}

// readProfiles reads a file with profiles. flag is its flag, for errors.
func readProfiles(flag, path string) (*sandbox.Profiles, error) {
	text, _, err := readOperatorFile(flag, path, sandboxfile.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	return sandboxfile.Parse(path, text)
}

// sandboxes are the profiles of a server. The file is read again by the reloader.
type sandboxes struct {
	flags      *serveSandboxFlags
	bubblewrap string                           // its path, or ""
	profiles   atomic.Pointer[sandbox.Profiles] // nil has the built-in ones
	host       *process.Host                    // nil before enforce
	probing    sync.WaitGroup
}

// openSandboxes reads the profiles of a server, and registers the file for reloading.
func (c *serveCmd) openSandboxes(r *reloader) (*sandboxes, error) {
	f := &c.serveSandboxFlags
	if f.SandboxDefault != nil && *f.SandboxDefault == "" {
		return nil, &statusError{exitUsage, errors.New("--sandbox-default must not be empty: off is no sandbox")}
	}
	program, err := f.program()
	if err != nil {
		return nil, err
	}
	s := &sandboxes{flags: f, bubblewrap: program}
	load := func() error {
		p, err := f.readProfiles()
		if err == nil {
			err = s.check(p)
		}
		if err == nil {
			s.profiles.Store(p)
		}
		return err
	}
	if f.SandboxProfiles == "" {
		return s, load()
	}
	return s, r.begin("sandbox profiles", load, f.SandboxProfiles)
}

// floor returns the name of the profile that every command gets; "" is none.
func (s *sandboxes) floor() string {
	if s.flags.SandboxDefault == nil {
		return ""
	}
	return *s.flags.SandboxDefault
}

// has reports whether the server has a profile. It may be called after openSandboxes.
func (s *sandboxes) has(profile string) bool {
	return slices.Contains(s.profiles.Load().Names(), profile)
}

// check returns an error unless profiles have that of --sandbox-default, and the machine, if the host
// is known, can enforce it.
func (s *sandboxes) check(p *sandbox.Profiles) error {
	name := s.floor()
	if name == "" {
		return nil
	}
	if !slices.Contains(p.Names(), name) {
		return fmt.Errorf("--sandbox-default: there is no profile %q: the profiles are %s", name, strings.Join(p.Names(), ", "))
	}
	if s.host == nil {
		return nil
	}
	if err := enforceable(s.host, p, name); err != nil {
		return fmt.Errorf(`--sandbox-default %s: %w; see "runnel sandbox check"`, name, err)
	}
	return nil
}

// enforceable returns an error if the machine cannot enforce a profile, for whatever directory and
// user.
func enforceable(h *process.Host, p *sandbox.Profiles, name string) error {
	c, err := p.Floor(name, sandbox.Place{Dir: exampleDir, Home: exampleHome})
	if err != nil || c == nil {
		return err
	}
	_, err = h.EnforceSandbox(c)
	return err
}

// The directories that stand for those of a command where only a profile is examined.
const (
	exampleDir  = "/example/directory"
	exampleHome = "/example/home"
)

// enforce makes the machine's host known. It fails if that cannot enforce --sandbox-default.
func (s *sandboxes) enforce(ctx context.Context, h *process.Host, log zerolog.Logger) error {
	s.host = h
	if err := s.check(s.profiles.Load()); err != nil {
		return err
	}
	s.probing.Go(func() { // connections wait for it
		if support := h.SandboxSupport(ctx); support.Detail != "" {
			log.Info().Str("why", support.Detail).Msg("no namespaces for sandboxes")
		}
	})
	return nil
}

// options returns the options of the server.
func (s *sandboxes) options() server.Sandboxes {
	return server.Sandboxes{
		Profiles: s.profiles.Load,
		Default:  s.floor(),
		Support:  s.host.SandboxSupport,
	}
}
