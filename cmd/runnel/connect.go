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

// target are the flags of client verbs that select a server: that of --url, or else the one on the
// user's socket.
type target struct {
	URL       string `help:"URL of the server, ws://host:port/ws. Default: the socket of this user's server." env:"RUNNEL_URL"`
	TokenFile string `help:"File with the token for --url. Default: the token of this user's server, if the URL is on this machine." env:"RUNNEL_TOKEN_FILE"`
}

// dialTimeout is how long to wait for a server. Tests set a shorter one.
var dialTimeout = 10 * time.Second

// errNoServer is the error of connect if no server listens on the user's socket.
var errNoServer = errors.New("no server is running; start one with: runnel serve")

// socketURL is the URL that is dialed over a Unix socket. Its host is not resolved.
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

// withClient connects to the server and calls f.
func (t *target) withClient(inv *invocation, f func(context.Context, *client.Client) error) error {
	conn, err := t.connect(inv.ctx, client.Options{})
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(inv.ctx, conn)
}

// connect dials the server. It returns errNoServer if none listens on the user's socket.
func (t *target) connect(ctx context.Context, o client.Options) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if t.URL != "" {
		return t.connectURL(ctx, o)
	}
	path := socketPath()
	if path == "" {
		return nil, errNoServer
	}
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	c, err := client.Dial(ctx, socketURL, o)
	if notListening(err) {
		return nil, errNoServer
	}
	return c, dialError("socket "+path, err)
}

// notListening reports whether dialing a socket failed because it does not exist or its server has
// exited.
func notListening(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENOENT, syscall.ENOTDIR, syscall.ECONNREFUSED,
		syscall.EINVAL, // the path is too long for a socket
	} {
		if errors.Is(err, errno) {
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

// token returns the token for --url: that of --token-file, or that of the user's server if there is
// one. The latter is sent to loopback addresses only.
func (t *target) token() (string, error) {
	if t.TokenFile != "" {
		return readToken(t.TokenFile)
	}
	u, err := url.Parse(t.URL)
	if err != nil || !isLoopback(u.Hostname()) {
		return "", err
	}
	path := tokenPath(socketPath())
	if path == "" {
		return "", nil
	}
	token, err := readToken(path)
	if errors.Is(err, fs.ErrNotExist) { // the server may not require a token
		return "", nil
	}
	return token, err
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func dialError(server string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no response within %s", server, dialTimeout)
	}
	return fmt.Errorf("%s: %w", server, err)
}
