//go:build linux

package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
)

// service is a whole server on a port of its own, as `runnel serve` makes it.
type service struct {
	t        testing.TB
	registry *session.Registry
	server   *server.Server
	address  string
	secure   *tls.Config // of clients; nil without TLS
	log      *errorLog
	served   chan error
	drain    time.Duration
	restart  bool // what shutdown announces
	once     sync.Once
	spool    *spool.Spool
}

// settings of a service. Checkpoint, which may be nil, is called at the checkpoints of handlers. With
// RUNNEL_TEST_TLS=1 services have TLS, with RUNNEL_TEST_SPOOL=1 a spool.
type settings struct {
	TLS        bool
	ClientCAs  *x509.CertPool // with TLS; nil if the server asks for no certificate
	Server     server.Options
	Session    session.Options
	Checkpoint func(name string)
	// StartInline is how long an execute delays the following requests of its connection; 0 is as long
	// as in the program.
	StartInline time.Duration
	// HandshakeRate is how many opening handshakes a principal makes in a second without a delay; 0 is
	// as many as in the program.
	HandshakeRate float64
	// Spool, if not nil, are the options of a spool in SpoolDir, or else in a directory of its own. It
	// takes SpoolFull more bytes when it is open, if that is greater than 0; then its disk is full.
	Spool     *spool.Options
	SpoolDir  string
	SpoolFull int64
	// NoSpool is for a test that needs sessions to be removed when memory has them no longer.
	NoSpool bool
}

// serve starts a service. At the end of the test it shuts it down and checks that nothing has
// panicked and that all resources are released.
func serve(t testing.TB, change ...func(*settings)) *service {
	t.Helper()
	check := runsAlone(t)
	before := usedResources()
	log := &errorLog{}
	set := settings{
		Server: server.Options{
			Version:            "test",
			Defaults:           server.Defaults{StreamTimeout: 5 * time.Minute, Grace: 2 * time.Second},
			MaxUnauthenticated: 1000,
			Drain:              5 * time.Second,
			Log:                zerolog.New(log).Level(zerolog.ErrorLevel),
		},
		Session: session.Options{Host: host, Log: zerolog.New(log).Level(zerolog.ErrorLevel)},
		TLS:     os.Getenv("RUNNEL_TEST_TLS") != "",
	}
	if os.Getenv("RUNNEL_TEST_SPOOL") != "" {
		set.Spool = &spool.Options{}
	}
	for _, c := range change {
		c(&set)
	}
	var secure *tls.Config
	if set.TLS {
		secure = withTLS(t, &set.Server, set.ClientCAs)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set.openSpool(t)
	registry := session.NewRegistry(set.Session)
	s := &service{
		t:        t,
		registry: registry,
		server:   server.New(registry, set.Server),
		address:  l.Addr().String(),
		secure:   secure,
		log:      log,
		served:   make(chan error, 1),
		drain:    set.Server.Drain,
		spool:    set.Session.Spool,
	}
	if set.Checkpoint != nil {
		s.server.OnCheckpoint(set.Checkpoint)
	}
	if set.StartInline > 0 {
		s.server.SetStartInline(set.StartInline)
	}
	if set.HandshakeRate > 0 {
		s.server.SetHandshakeRate(set.HandshakeRate)
	}
	go func() { s.served <- s.server.Serve(l) }()
	t.Cleanup(func() {
		late := time.AfterFunc(20*time.Second, func() {
			t.Error("the shutdown does not end")
			registry.Kill()
		})
		defer late.Stop()
		s.shutdown(0)
		if n := registry.Running(); n != 0 {
			t.Errorf("%d slots taken after the shutdown", n)
		}
		if text := log.text(); text != "" {
			t.Errorf("the server logged errors:\n%s", text)
		}
		if check {
			awaitReleased(t, before)
		}
	})
	return s
}

// shutdown does what `runnel serve` does on a signal.
func (s *service) shutdown(drain time.Duration) {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		s.registry.Drain()
		s.server.Announce(s.restart)
		s.registry.Shutdown(ctx)
		s.server.Shutdown()
		s.spool.Close()
		if err := <-s.served; err != nil {
			s.t.Errorf("Serve: %v", err)
		}
	})
}

func (s *service) url() string { return s.at(s.address) }

// at returns the URL of the service at an address, which may be that of a proxy.
func (s *service) at(address string) string {
	if s.secure != nil {
		return "wss://" + address + "/ws"
	}
	return "ws://" + address + "/ws"
}

// httpClient returns an HTTP client, which trusts the service's certificate.
func (s *service) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: s.secure}, Timeout: testTimeout}
}

func (s *service) httpURL(path string) string {
	return "http" + strings.TrimPrefix(strings.TrimSuffix(s.url(), "/ws"), "ws") + path
}

// get returns the response to a GET request.
func (s *service) get(t testing.TB, path string) (status int, body string) {
	t.Helper()
	r, err := s.httpClient().Get(s.httpURL(path))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// idle waits until no session runs.
func (s *service) idle() {
	s.t.Helper()
	eventually(s.t, "no session runs", func() bool { return s.registry.Running() == 0 })
}

// errorLog keeps what a server logs as errors.
type errorLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *errorLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *errorLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// take returns and clears the log, for a test that makes the server fail.
func (l *errorLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}
