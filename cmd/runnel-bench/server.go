//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 60 * time.Second
)

// server is a `runnel serve`.
type server struct {
	dir     string // its state and its spool
	pid     int
	url     string // ws://127.0.0.1:PORT/ws
	address string // 127.0.0.1:PORT
	token   string // of its clients; "" if they need none
	cmd     *exec.Cmd
	exited  chan struct{} // closed when cmd.Wait has returned err
	err     error
}

// start starts a server on a free port of loopback TCP without a token.
func (b *bench) start(p program, flags ...string) (*server, error) {
	return b.startWith(p, "", append([]string{"--auth=none"}, flags...)...)
}

// startWith starts a server on a free port of loopback TCP whose clients have a token.
func (b *bench) startWith(p program, token string, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "server")
	if err != nil {
		return nil, err
	}
	ready := filepath.Join(dir, "ready")
	args := []string{
		"serve", "--listen=127.0.0.1:0", "--socket=", "--state-dir=" + dir, "--ready-file=" + ready,
		"--log-level=error", "--drain=0s",
	}
	s := &server{dir: dir, token: token, cmd: exec.Command(p.path, append(args, flags...)...), exited: make(chan struct{})}
	s.cmd.Env = environ(dir) // servers cannot share the default spool
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.pid = s.cmd.Process.Pid
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.awaitReady(b.ctx, ready); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// awaitReady waits for the ready file and reads the address from it.
func (s *server) awaitReady(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			return s.readReady(text)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-s.exited:
			return fmt.Errorf("%s exited: %w", strings.Join(s.cmd.Args, " "), s.err)
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready: %w", ctx.Err())
		}
	}
}

func (s *server) readReady(text []byte) error {
	var file struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	u, err := url.Parse(file.URL)
	if err != nil {
		return err
	}
	s.url, s.address = file.URL, u.Host
	return nil
}

// stop ends the server, waits for it, and removes its files: the spool may have gigabytes.
func (s *server) stop() error {
	return errors.Join(s.end(), os.RemoveAll(s.dir))
}

// end ends the server and waits for it.
func (s *server) end() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("the server did not exit in %v", stopTimeout)
	}
	if s.err != nil {
		return fmt.Errorf("server: %w", s.err)
	}
	return nil
}
