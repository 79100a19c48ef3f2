//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// principal is a principal of the server, with its token.
type principal struct{ name, token string }

func (p principal) key(id string) sessionKey { return sessionKey{p.name, id} }

// soakPrincipals have the role run. An administrator and guests, who come and go, are there besides.
var soakPrincipals = []principal{{"alice", "token-of-alice"}, {"bob", "token-of-bob"}}

// soakQuotas bound one of the principals.
const soakQuotas = `[[principal]]
name = "bob"
quotas = { max_sessions = 12, max_connections = 12, max_retained = 300, replay_bytes = 2097152, starts_per_second = 400 }
`

// tokensFile is the tokens file of the server. It may be used concurrently.
type tokensFile struct {
	path   string
	mu     sync.Mutex
	tokens map[string]string // the entry of each token, by the token
}

func newTokensFile(path string) *tokensFile {
	f := &tokensFile{path: path, tokens: make(map[string]string)}
	for _, p := range soakPrincipals {
		f.tokens[p.token] = entryOf(p, "run")
	}
	f.tokens[soakAdmin.token] = entryOf(soakAdmin, "admin")
	return f
}

var soakAdmin = principal{"admin", "token-of-admin"}

func entryOf(p principal, role string) string {
	return fmt.Sprintf("[[token]]\nname = %q\nsha256 = \"%x\"\nrole = %q\n", p.name, sha256.Sum256([]byte(p.token)), role)
}

// change changes the tokens and replaces the file.
func (f *tokensFile) change(change func(tokens map[string]string)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.tokens)
	return f.replace(strings.Join(slices.Sorted(maps.Values(f.tokens)), "\n"))
}

// damage replaces the file by one that is not valid, and then by the right one again.
func (f *tokensFile) damage(reload func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.replace("[[token]]\nnome = \"alice\"\n")
	reload()
	return errors.Join(err, f.replace(strings.Join(slices.Sorted(maps.Values(f.tokens)), "\n")))
}

func (f *tokensFile) replace(text string) error {
	if err := os.WriteFile(f.path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

// reload makes the server read its files again, unless the change of the file alone is to do it.
func (a *actor) reload() {
	if a.chance(2) {
		_ = a.server.Process.Signal(syscall.SIGHUP)
	}
}

// dialOver connects over the Unix socket, with a token.
func (s *soak) dialOver(ctx context.Context, token string) (*client.Client, error) {
	return s.dialOverWith(ctx, client.Options{Token: token})
}

func (s *soak) dialOverWith(ctx context.Context, o client.Options) (*client.Client, error) {
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.dir.socket())
	}
	return client.Dial(ctx, socketURL, o)
}

// strangers checks that a principal does not find the session of another, whose id is unused for it.
func (a *actor) strangers(ctx context.Context) error {
	c, err := a.connect(ctx, "stranger")
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.execute(ctx, argv("sleep", "1000"), client.Events{})
	if err != nil {
		return err
	}
	other := *a
	other.principal = soakPrincipals[0]
	if a.principal == other.principal {
		other.principal = soakPrincipals[1]
	}
	d, err := other.connect(ctx, "stranger")
	if err != nil {
		return err
	}
	defer d.Close()
	for _, method := range []string{rpc.MethodStatus, rpc.MethodAttach, rpc.MethodWait, rpc.MethodCancel, rpc.MethodDetach} {
		for _, name := range []string{s.ID(), a.name + "/" + s.ID()} {
			if err := d.Call(ctx, method, rpc.SessionParams{SessionID: name}, nil); method != rpc.MethodDetach && !notFound(err) {
				return fmt.Errorf("%s of the session of another: %v", method, err)
			}
		}
	}
	p := argv("true")
	p.SessionID = s.ID()
	rec, err := d.run(ctx, p, client.Events{})
	if err := expectRecord(rec, err, rpc.ReasonExited, 0); err != nil {
		return err
	}
	if err := d.Call(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: s.ID()}, nil); err != nil && !notFound(err) {
		return fmt.Errorf("cancel of an own session with the same id: %w", err)
	}
	if err := c.Call(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: s.ID()}, nil); err != nil {
		return err
	}
	rec, err = s.Wait(ctx)
	return expectRecord(rec, err, rpc.ReasonCanceled, -1)
}

// administrates looks at a session of another principal, and ends it, whose client sees that.
func (a *actor) administrates(ctx context.Context) error {
	c, err := a.connect(ctx, "ended by an administrator")
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.execute(ctx, argv("sleep", "1000"), client.Events{})
	if err != nil {
		return err
	}
	admin, err := a.dialOver(ctx, soakAdmin.token)
	if err != nil {
		return err
	}
	defer admin.Close()
	for range a.random.IntN(10) {
		if err := admin.Call(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: a.name + "/" + s.ID()}, nil); err != nil {
			return err
		}
		a.uses.Add(1)
	}
	if err := admin.Call(ctx, rpc.MethodCancel, rpc.CancelParams{SessionID: a.name + "/" + s.ID()}, nil); err != nil {
		return err
	}
	rec, err := s.Wait(ctx)
	return expectRecord(rec, err, rpc.ReasonCanceled, -1)
}

// guests have a token that is added and revoked again: the server closes their connection.
func (a *actor) guests(ctx context.Context) error {
	guest := *a
	guest.principal = principal{a.name, "guest-" + a.newID()}
	if err := a.tokens.change(func(tokens map[string]string) { tokens[guest.token] = entryOf(guest.principal, "run") }); err != nil {
		return err
	}
	revoke := func() error { return a.tokens.change(func(tokens map[string]string) { delete(tokens, guest.token) }) }
	a.reload()
	c, err := guest.connectWhenKnown(ctx)
	if err != nil {
		return errors.Join(err, revoke())
	}
	defer c.Close()
	_, err = c.execute(ctx, argv("sleep", "1000"), client.Events{})
	if err = errors.Join(err, revoke()); err != nil {
		return err
	}
	a.reload()
	select {
	case <-c.Done():
	case <-ctx.Done():
		return errors.New("the connection of a revoked token was not closed")
	}
	err = c.Call(ctx, rpc.MethodList, rpc.ListParams{}, nil)
	if ended := (*client.UnauthorizedError)(nil); !errors.As(err, &ended) {
		return fmt.Errorf("the connection of a revoked token: %w", err)
	}
	return nil
}

// connectWhenKnown connects as soon as the server has read the new token.
func (a *actor) connectWhenKnown(ctx context.Context) (*soakClient, error) {
	for {
		c, err := a.connect(ctx, "guest")
		var refusal *client.RefusedError
		if !errors.As(err, &refusal) || refusal.Status != 401 && refusal.Status != 429 {
			return c, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("a new token was not accepted: %w", err)
		}
		a.pause(50)
	}
}

// reloads lets the server read its files while everything else goes on, also a wrong one.
func (a *actor) reloads(context.Context) error {
	a.pause(200)
	if a.chance(2) {
		return a.tokens.damage(func() { a.reload(); a.pause(400) })
	}
	return a.server.Process.Signal(syscall.SIGHUP)
}
