package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// target says which server a client verb talks to: the one at URL, else the user's own socket.
type target struct {
	URL       string `help:"Server to use, ws://host:port/ws. Default: the user's own socket." env:"RUNNEL_URL"`
	TokenFile string `help:"File with the token for --url. Default: the user's own." env:"RUNNEL_TOKEN_FILE"`
}

// errNoServer says that nothing listens on the user's socket.
var errNoServer = errors.New("no server is running here; start one with: runnel serve")

// socketURL is what is dialed over a Unix socket; its host is never looked up.
const socketURL = "ws://localhost/ws"

// connect dials the server. Without --url, errNoServer says that there is none.
func (t *target) connect(ctx context.Context) (*client.Client, error) {
	if t.URL != "" {
		return t.connectURL(ctx)
	}
	path := os.Getenv("RUNNEL_SOCKET")
	if path == "" {
		path = defaultSocket()
	}
	c, err := client.Dial(ctx, socketURL, client.Options{Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errNoServer
	}
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return c, nil
}

// connectURL shows a token if there is one: a server without --auth does not look at it.
func (t *target) connectURL(ctx context.Context) (*client.Client, error) {
	var o client.Options
	path := t.TokenFile
	if path == "" {
		path = defaultToken("")
	}
	token, err := readToken(path)
	switch {
	case err == nil:
		o.Token = token
	case t.TokenFile != "" || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	c, err := client.Dial(ctx, t.URL, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.URL, err)
	}
	return c, nil
}
