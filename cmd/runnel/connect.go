package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// target are the flags of client verbs that select a server: that of --url, or of --context, or else
// the one on the user's socket.
type target struct {
	Context   string `help:"Server that \"runnel context add\" has named, in place of --url. Default: RUNNEL_CONTEXT, or the one of \"runnel context use\"." placeholder:"NAME"`
	URL       string `help:"URL of the server, ws://host:port, wss://host:port or unix:PATH. Default: the socket of this user's server." env:"RUNNEL_URL"`
	TokenFile string `help:"File with the token. The one of the variable is for --url only. Default: the token of this user's server, if the URL is on this machine." env:"RUNNEL_TOKEN_FILE"`
	TLSCA     string `name:"tls-ca" help:"File with the authorities that may sign the server's certificate (PEM). Default: those of the system." env:"RUNNEL_TLS_CA" placeholder:"FILE"`
	TLSCert   string `name:"tls-cert" help:"File with the certificate to present to the server (PEM)." env:"RUNNEL_TLS_CERT" placeholder:"FILE"`
	TLSKey    string `name:"tls-key" help:"File with the key of --tls-cert (PEM)." env:"RUNNEL_TLS_KEY" placeholder:"FILE"`

	socketToken bool // --token-file is on the command line: its token is sent to the user's socket, too
}

// dialTimeout is how long to wait for a server. Tests set a shorter one.
var dialTimeout = 10 * time.Second

// errNoServer is the error of connect if no server listens on the user's socket.
var errNoServer = errors.New("no server is running")

// noServerError is an errNoServer that names the sockets that were tried.
type noServerError struct{ sockets []string }

func (e *noServerError) Is(target error) bool { return target == errNoServer }
func (e *noServerError) Error() string {
	text := errNoServer.Error()
	if len(e.sockets) > 0 {
		text += " on " + strings.Join(e.sockets, " or ")
	}
	return text + "; start one with: runnel serve"
}

// socketURL is the URL that is dialed over a Unix socket. Its host is not resolved.
const socketURL = "ws://localhost/ws"

// Validate implements kong's check of values.
func (t *target) Validate() error {
	if (t.TLSCert == "") != (t.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key require each other")
	}
	if t.URL == "" {
		return nil
	}
	_, _, err := parseURL(t.URL)
	return err
}

// parseURL returns the URL to dial for a --url, whose path is /ws if it has none. For unix:PATH and
// unix:///PATH it is socketURL, and socket is PATH.
func parseURL(text string) (address, socket string, err error) {
	bad := fmt.Errorf("--url must be like ws://host:port, wss://host:port/path, unix:PATH or unix:///PATH, not %q", text)
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if rest, ok := strings.CutPrefix(path, "//"); ok {
			if path = rest; !strings.HasPrefix(path, "/") {
				return "", "", bad
			}
		}
		if path == "" {
			return "", "", bad
		}
		return socketURL, path, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return "", "", bad
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/ws"
	}
	return u.String(), "", nil
}

// dialer returns what connects to a Unix socket.
func dialer(socket string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
}

// AfterApply implements kong's hook after the values are set.
func (t *target) AfterApply(k *kong.Context) error {
	given := givenFlags(k)
	t.socketToken = given["token-file"]
	return t.useContext(given)
}

// givenFlags returns the names of the flags on the command line, apart from those that environment
// variables set.
func givenFlags(k *kong.Context) map[string]bool {
	given := make(map[string]bool)
	for _, p := range k.Path {
		if p.Flag != nil && !p.Resolved {
			given[p.Flag.Name] = true
		}
	}
	return given
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

// connect dials the server. It returns an errNoServer if none listens on the user's sockets.
func (t *target) connect(ctx context.Context, o client.Options) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if t.URL != "" {
		return t.connectURL(ctx, o)
	}
	if t.socketToken {
		tokens := &tokenSource{target: t}
		if _, err := tokens.token(ctx); err != nil { // which could look like a missing socket
			return nil, err
		}
		o.TokenSource = tokens.token
	}
	sockets := userSockets()
	for _, path := range sockets {
		o.Dial = dialer(path)
		c, err := client.Dial(ctx, socketURL, o)
		if !notListening(err) {
			return c, dialError("socket "+path, t.refusal(err, true))
		}
	}
	return nil, &noServerError{sockets}
}

// isListening reports whether a server listens on a socket.
func isListening(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
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
	tokens := &tokenSource{target: t}
	if _, err := tokens.token(ctx); err != nil { // without the prefix of a failed dial
		return nil, err
	}
	o.TokenSource = tokens.token
	if o.TLS, err = t.tlsConfig(); err != nil {
		return nil, err
	}
	address, socket, err := parseURL(t.URL)
	if err != nil {
		return nil, err
	}
	server := address
	if socket != "" {
		server, o.Dial = "unix:"+socket, dialer(socket)
	}
	c, err = client.Dial(ctx, address, o)
	return c, dialError(server, t.refusal(err, socket != ""))
}

// refusal returns the error of a dial, in terms of the flags if the server has refused the credential, or a
// process on a Unix socket that has sent none.
func (t *target) refusal(err error, socket bool) error {
	refused, ok := errors.AsType[*client.RefusedError](err)
	switch {
	case !ok:
	case refused.Status == http.StatusUnauthorized:
		return t.unauthorized()
	case refused.Status == http.StatusForbidden && socket && !t.socketToken && (t.URL == "" || t.TokenFile == ""):
		return fmt.Errorf("%w; --token-file names the file of a token", err)
	}
	return err
}

// unauthorized returns why the server answers 401, in terms of the flags.
func (t *target) unauthorized() error {
	token, file, err := t.token()
	switch {
	case err == nil && token == "" && t.TLSCert != "":
		return fmt.Errorf("the certificate of %s is not accepted, and the token is missing: --token-file names its file", t.TLSCert)
	case err == nil && token == "":
		return errors.New("the token is missing: --token-file names its file")
	}
	return fmt.Errorf("the token of %s is wrong, or not valid any more: --token-file names another one", file)
}

// token returns the token for --url: that of --token-file, or that of the user's server if there is
// one. The latter is sent to loopback addresses only, and not beside a certificate: a token that the
// server does not know would be refused, whatever the certificate is. file is where the token is from.
func (t *target) token() (token, file string, err error) {
	if t.TokenFile != "" {
		token, err = readToken(t.TokenFile)
		return token, t.TokenFile, err
	}
	u, err := url.Parse(t.URL)
	if err != nil || t.TLSCert != "" || !isLoopback(u.Hostname()) {
		return "", "", err
	}
	if file = userTokenFile(); file == "" {
		return "", "", nil
	}
	token, err = readToken(file)
	if errors.Is(err, fs.ErrNotExist) { // the server may not require a token
		return "", "", nil
	}
	return token, file, err
}

// tokenSource returns the token for each connection. The file is read again each time, because it may
// have been replaced.
type tokenSource struct {
	target *target

	mu   sync.Mutex
	last *string // that was read; nil if none was
}

// token implements client.Options.TokenSource. If the file cannot be read again, because it is a
// pipe or is just being replaced, it returns the last token.
func (s *tokenSource) token(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _, err := s.target.token()
	if err != nil && s.last != nil {
		return *s.last, nil
	}
	if err == nil {
		s.last = &token
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
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Errorf("%s: the certificate of the server is signed by an unknown authority: --tls-ca names the file of its authority", server)
	}
	return fmt.Errorf("%s: %w", server, err)
}
