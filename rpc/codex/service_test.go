//go:build linux

package codex_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/codex"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// service is a server with the route, on a port of its own.
type service struct {
	t        testing.TB
	registry *session.Registry
	server   *server.Server
	address  string
	path     string // of the route
	codex    bool   // it is Codex's own server, and the other fields are nil
	callers  *callers
	log      *errorLog
}

type settings struct {
	Server  server.Options
	Session session.Options
	Codex   codex.Options
	Spool   bool
}

// serve starts a service. At the end of the test it shuts it down as runnel serve does, and checks that
// nothing has panicked.
func serve(t testing.TB, change ...func(*settings)) *service {
	t.Helper()
	s := &service{t: t, path: "/codex", callers: &callers{}, log: &errorLog{}}
	log := zerolog.New(s.log).Level(zerolog.ErrorLevel)
	set := settings{
		Server: server.Options{
			Auth: s.callers, Log: log,
			Defaults: server.Defaults{
				StreamTimeout: time.Nanosecond, // must not have an effect
				Grace:         20 * time.Second,
				Environ:       serverEnviron(),
			},
			MaxUnauthenticated: 1000,
		},
		Session: session.Options{Host: host, Log: log},
		Codex:   codex.Options{Resume: 200 * time.Millisecond, Log: log},
	}
	for _, c := range change {
		c(&set)
	}
	if set.Spool {
		sp, err := spool.Open(t.TempDir(), spool.Options{
			SessionBytes: 1 << 30, TotalBytes: 1 << 30, Retain: time.Hour, MaxSessions: 100, WindowBytes: 64 << 20,
			Files: disk.OS{}, Lost: session.LostRecord, Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sp.Close() })
		set.Session.Spool, set.Session.Commands = sp, server.CommandCodec
	}
	handler := codex.New(set.Codex)
	set.Server.Routes = map[string]http.Handler{codex.Pattern: handler}
	s.registry = session.NewRegistry(set.Session)
	s.server = server.New(s.registry, set.Server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(l) }()
	t.Cleanup(func() {
		s.registry.Kill()
		s.registry.Shutdown(context.Background())
		s.server.Shutdown()
		handler.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if text := s.log.text(); text != "" {
			t.Errorf("the server logged errors:\n%s", text)
		}
	})
	return s
}

// serverEnviron is the environment of a server.
func serverEnviron() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "OF_SERVER=1", "API_KEY=k"}
}

// idle waits until no session runs. Codex's server does not tell.
func (s *service) idle() {
	s.t.Helper()
	if s.codex {
		return
	}
	eventually(s.t, "no session runs", func() bool { return s.registry.Running() == 0 })
}

// callers accepts every request, with the principal of its X-Caller header.
type callers struct {
	mu      sync.Mutex
	revoked map[string]bool
	expires time.Time
}

func (c *callers) Authenticate(r *http.Request) (access.Identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, role, _ := strings.Cut(r.Header.Get("X-Caller"), ":")
	id := access.Identity{Principal: name, Role: access.Run, Credential: name, Expires: c.expires}
	if id.Principal == "" {
		id.Principal = "user"
	}
	if role == "observe" {
		id.Role = access.Observe
	}
	return id, nil
}

func (c *callers) AuthenticateToken(string, access.Peer) (access.Identity, error) {
	return access.Identity{}, &access.Refusal{}
}

func (c *callers) Accepts(id access.Identity) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.revoked[id.Principal]
}

func (c *callers) revoke(principal string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked = map[string]bool{principal: true}
}

// errorLog collects what is logged.
type errorLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *errorLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *errorLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
