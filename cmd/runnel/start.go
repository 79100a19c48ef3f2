package main

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/rpc/policy"
	"github.com/runnel-rpc/runnel/session/spool"
)

// startEnd is how long a start that was canceled by a signal may take to release its resources.
const startEnd = 2 * time.Second

// startedServer has the resources that a server acquires before it serves.
type startedServer struct {
	auth            *authentication
	sandboxes       *sandboxes
	policy          *policy.Guard // nil without a policy
	certificates    *certificates // nil without TLS
	reload          *reloader
	audit           *audit.Log // nil without --audit
	host            *process.Host
	spool           *spool.Spool // nil without one
	listeners       []net.Listener
	log             zerolog.Logger
	removeReadyFile func()
}

// startOrCancel acquires the resources of a server. If ctx is done before it has finished, it
// returns nil, with an error if the start is blocked in a system call that cannot be canceled, such
// as open(2) on a file system that does not respond.
func (c *serveCmd) startOrCancel(ctx context.Context, log zerolog.Logger) (*startedServer, error) {
	var s *startedServer
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		s, err = c.start(ctx, log)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(startEnd): // the goroutine ends with the process
			return nil, errors.New("terminated by a signal while the start was blocked")
		}
	}
	if err != nil && errors.Is(err, context.Cause(ctx)) {
		log.Info().Msg("shut down")
		return nil, nil
	}
	return s, err
}

// start acquires all resources, or none.
func (c *serveCmd) start(ctx context.Context, log zerolog.Logger) (_ *startedServer, err error) {
	s := &startedServer{log: log, reload: &reloader{log: log}, removeReadyFile: func() {}}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	if s.auth, err = c.authenticate(ctx, s.reload, log); err != nil {
		return nil, err
	}
	if s.sandboxes, err = c.openSandboxes(s.reload); err != nil {
		return nil, err
	}
	if s.policy, err = s.auth.openPolicy(c.Policy, s.sandboxes.has, s.reload, log); err != nil {
		return nil, err
	}
	if err = s.auth.finish(); err != nil {
		return nil, err
	}
	if s.certificates, err = c.openTLS(s.auth.certificates, s.reload); err != nil {
		return nil, err
	}
	if s.audit, err = c.openAudit(s.reload, log); err != nil {
		return nil, err
	}
	if s.host, err = c.openHost(sandboxOptions{s.sandboxes.bubblewrap, c.hiddenFiles(), c.readOnlyFiles()}, log); err != nil {
		return nil, err
	}
	if err = s.sandboxes.enforce(ctx, s.host, log); err != nil {
		return nil, err
	}
	if s.listeners, err = c.listen(ctx); err != nil {
		return nil, err
	}
	if s.spool, err = c.openSpool(log); err != nil { // after listen, which finds another server first
		return nil, err
	}
	if c.ReadyFile != "" {
		s.removeReadyFile, err = readyFile{URL: urlOf(s.listeners, s.certificates != nil), PID: os.Getpid(), TokenFile: c.TokenFile}.write(c.ReadyFile)
		if err != nil {
			s.removeReadyFile = func() {}
			return nil, err
		}
	}
	for _, l := range s.listeners {
		_, tcp := l.Addr().(*net.TCPAddr)
		line := log.Info().Str("address", l.Addr().String()).Bool("tls", tcp && s.certificates != nil).Str("auth", c.Auth)
		if tcp && c.TokenFile != "" { // it is empty without authentication
			line.Str("token_file", c.TokenFile)
		}
		line.Str("containment", string(s.host.Containment())).Msg("listening")
	}
	auditStart(s.audit, s.listeners)
	return s, nil
}

// close releases the resources, also those of an incomplete start. It returns an error if processes
// or files are left.
func (s *startedServer) close() error {
	s.removeReadyFile()
	closeAll(s.listeners)
	s.auth.close()
	s.audit.Close()
	s.spool.Close()
	if s.host == nil {
		return nil
	}
	s.sandboxes.probing.Wait()
	return closeHost(s.host, s.log)
}
