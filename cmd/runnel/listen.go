package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// listenTCP listens on host:port, which must be a loopback address unless callers need a token.
func listenTCP(address string, token bool) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, &statusError{exitUsage, fmt.Errorf("--listen: %w", err)}
	}
	if !token && !addr.IP.IsLoopback() {
		return nil, &statusError{exitUsage, fmt.Errorf("--auth none requires a loopback address, not %s", address)}
	}
	l, err := net.ListenTCP("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process", address)
	}
	return l, err
}

// listenUnix listens on a socket that only this user may connect to. It replaces the socket of a
// server that has exited, and fails if another server may be listening.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := makePrivateDir(dir); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	old := syscall.Umask(0o177) // so that the socket is created with mode 0600
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("socket %s: path is too long", path)
	}
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return l, nil
}

// removeStale removes a socket that no process listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("file exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // with any other error, a server may be listening
		return errors.New("another server is listening; use another --socket, or --socket= for none")
	}
	return os.Remove(path)
}
