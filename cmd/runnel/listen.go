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

	"github.com/runnel-rpc/runnel/rpc/server"
)

// listenTCP listens on host:port. An address that is not loopback requires authentication and TLS,
// unless a flag permits to do without TLS.
func (c *serveCmd) listenTCP(address string) (net.Listener, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, &statusError{exitUsage, fmt.Errorf("--listen: %w", err)}
	}
	switch {
	case addr.IP.IsLoopback():
	case c.Auth == "none":
		return nil, &statusError{exitUsage, fmt.Errorf("--auth none requires a loopback address, not %s", address)}
	case !c.hasTLS() && !c.InsecurePlaintext:
		return nil, &statusError{exitUsage, fmt.Errorf("%s is not a loopback address: it requires --tls-cert, "+
			"or --insecure-plaintext if everybody who can read the network may have the credentials", address)}
	}
	l, err := net.ListenTCP("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen tcp %s: address already in use: choose another one with --listen", address)
	}
	return l, err
}

// listenProxies listens on a socket for proxies, whose processes are not the callers.
func (c *serveCmd) listenProxies(ctx context.Context, path string) (net.Listener, error) {
	if c.Auth == "none" {
		return nil, &statusError{exitUsage, fmt.Errorf("--listen unix:%s is for callers with credentials: it cannot be used with --auth none", path)}
	}
	l, err := listenUnix(ctx, path, proxySocketMode)
	if err != nil {
		return nil, err
	}
	return server.ProxyListener{Listener: l}, nil
}

// The modes of sockets. A process needs the permission to write to connect (unix(7)).
const (
	ownSocketMode    = 0o600
	proxySocketMode  = 0o660 // the group can be chosen by that of the directory (inode(7), S_ISGID)
	sharedSocketMode = 0o666 // the server refuses whom --allow-uid and --allow-gid do not name
)

func (c *serveCmd) socketMode() os.FileMode {
	if c.others() {
		return sharedSocketMode
	}
	return ownSocketMode
}

// listenUnix listens on a socket with this mode. It replaces the socket of a server that has exited,
// and fails if another server may be listening. A directory that does not exist is created for this
// user only.
func listenUnix(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
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
	old := syscall.Umask(0o777 &^ int(mode)) // so that the socket is created with this mode
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
