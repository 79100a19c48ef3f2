package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// target says which server a client verb talks to: the one at URL, else the user's own socket.
type target struct {
	URL       string `help:"Server to use, ws://host:port/ws. Default: the user's own socket." env:"RUNNEL_URL"`
	TokenFile string `help:"File with the token for --url. Default: the user's own, for a server on this machine." env:"RUNNEL_TOKEN_FILE"`
}

// dialTimeout is how long a server has to answer. Tests have less patience.
var dialTimeout = 10 * time.Second

// errNoServer says that nothing listens on the user's socket.
var errNoServer = errors.New("no server is running here; start one with: runnel serve")

// socketURL is what is dialed over a Unix socket; its host is never looked up.
const socketURL = "ws://localhost/ws"

// Validate implements kong's check of values.
func (t *target) Validate() error {
	if t.URL == "" {
		return nil
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return fmt.Errorf("--url must be like ws://host:port/ws, not %q", t.URL)
	}
	return nil
}

// with runs f on a connection to the server.
func (t *target) with(w *world, f func(context.Context, *client.Client) error) error {
	conn, err := t.connect(w.ctx, client.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(w.ctx, conn)
}

// connect dials the server. Without --url, errNoServer says that there is none.
func (t *target) connect(ctx context.Context, o client.Options) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if t.URL != "" {
		return t.connectURL(ctx, o)
	}
	path := ownSocket()
	if path == "" {
		return nil, errNoServer
	}
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	c, err := client.Dial(ctx, socketURL, o)
	if absent(err) {
		return nil, errNoServer
	}
	return c, dialError("socket "+path, err)
}

// absent reports whether a socket could not be dialed because it can't be there, or its server is dead.
func absent(err error) bool {
	for _, none := range []syscall.Errno{
		syscall.ENOENT, syscall.ENOTDIR, syscall.ECONNREFUSED,
		syscall.EINVAL, // its path is too long for a socket
	} {
		if errors.Is(err, none) {
			return true
		}
	}
	return false
}

func (t *target) connectURL(ctx context.Context, o client.Options) (c *client.Client, err error) {
	if o.Token, err = t.token(); err != nil {
		return nil, err
	}
	c, err = client.Dial(ctx, t.URL, o)
	return c, dialError(t.URL, err)
}

// token is the one to show: that of --token-file, else the user's own if there is one. That one is shown to
// nobody but this machine.
func (t *target) token() (string, error) {
	if t.TokenFile != "" {
		return readToken(t.TokenFile)
	}
	u, err := url.Parse(t.URL)
	if err != nil || !thisMachine(u.Hostname()) {
		return "", err
	}
	path := besideSocket(ownSocket())
	if path == "" {
		return "", nil
	}
	token, err := readToken(path)
	if errors.Is(err, fs.ErrNotExist) { // the server may ask for none
		return "", nil
	}
	return token, err
}

func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func dialError(server string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %s", server, dialTimeout)
	}
	return fmt.Errorf("%s: %w", server, err)
}
