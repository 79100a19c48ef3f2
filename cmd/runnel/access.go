package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/rpc/auth/jwt"
)

// accessFlags decide who may use a server, and as which principal.
type accessFlags struct {
	Auth              string `help:"Authentication over TCP: token, or none (loopback only)." enum:"token,none" default:"token" env:"RUNNEL_AUTH"`
	TokenFile         string `help:"File with the token of the principal user; created if it does not exist. Default: token in the directory of the socket, unless callers have other credentials." env:"RUNNEL_TOKEN_FILE"`
	Tokens            string `help:"File with the hashes of the tokens of all principals; see runnel token." placeholder:"FILE" env:"RUNNEL_TOKENS"`
	Principals        string `help:"File with the principals of certificates and JWTs, groups and quotas." placeholder:"FILE" env:"RUNNEL_PRINCIPALS"`
	Policy            string `help:"File with what principals may execute; everything else is refused." placeholder:"FILE" env:"RUNNEL_POLICY"`
	SharedUser        bool   `help:"Permit several principals whose commands run as the same user: they can reach each other's files, processes and credentials." env:"RUNNEL_SHARED_USER"`
	OnRevoke          string `help:"What happens to the sessions that were started with a credential that is revoked: keep, or end." enum:"keep,end" default:"keep" env:"RUNNEL_ON_REVOKE"`
	peerFlags         `embed:""`
	TrustedProxy      []string `help:"Network of proxies whose Forwarded or X-Forwarded-For names the client in the log; unix for the processes at --listen unix:PATH. May be repeated." placeholder:"CIDR" env:"RUNNEL_TRUSTED_PROXY"`
	InsecurePlaintext bool     `help:"Listen on addresses that are not loopback without TLS: credentials and output can be read on the network." env:"RUNNEL_INSECURE_PLAINTEXT"`
	AllowHost         []string `help:"Host header to accept besides loopback." env:"RUNNEL_ALLOW_HOST"`
	AllowOrigin       []string `help:"Origin header of browsers to accept, as scheme://host[:port]; the host may be *, or begin with *. for all names below a domain. May be repeated." placeholder:"ORIGIN" env:"RUNNEL_ALLOW_ORIGIN"`
}

// hasCredentials reports whether callers have other credentials than the token of --token-file. Then
// that token exists only if the flag is given.
func (c *serveCmd) hasCredentials() bool {
	return c.Tokens != "" || c.hasCertificates() || c.JWTJWKS != ""
}

// hasCertificates reports whether certificates of clients can be credentials. Otherwise they are only
// verified.
func (c *serveCmd) hasCertificates() bool { return c.TLSClientCA != "" && c.Principals != "" }

// limitsSessions reports whether callers over the Unix socket may have different principals or roles,
// so that it matters whether their processes belong to a session.
func (c *serveCmd) limitsSessions() bool {
	return c.hasCredentials() || len(c.AllowUID)+len(c.AllowGID) > 0
}

// hasTLS reports whether connections over TCP have TLS.
func (c *serveCmd) hasTLS() bool { return c.TLSCert != "" }

// authentication knows the callers of a server. Its files are read again by the reloader.
type authentication struct {
	flags      *serveCmd
	chain      *auth.Chain
	tokens     []auth.Token                    // of --tokens; of the goroutine that reloads
	principals atomic.Pointer[auth.Principals] // nil without --principals
	uids       usersOf                         // of the policy, or nil
	complete   bool                            // everything was read for the first time
	proxies    *auth.Proxies

	certificates *auth.Certificates // nil without --tls-client-ca
	jwts         *jwt.Source        // nil without --jwt-jwks
	keysChanged  atomic.Pointer[func()]
}

// parseProxies returns the proxies of --trusted-proxy.
func parseProxies(all []string) (*auth.Proxies, error) {
	p := &auth.Proxies{}
	for _, text := range all {
		if text == "unix" {
			p.Unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, &statusError{exitUsage, fmt.Errorf("--trusted-proxy: %q is not a network such as 10.0.0.0/8, an address, or unix", text)}
		}
		p.Addresses = append(p.Addresses, prefix.Masked())
	}
	return p, nil
}

// authenticate reads the files about callers, and registers them for reloading. It sets TokenFile to
// the absolute path of the token, or to "" if there is none.
func (c *serveCmd) authenticate(ctx context.Context, r *reloader, log zerolog.Logger) (*authentication, error) {
	a := &authentication{flags: c, chain: &auth.Chain{Hosts: c.AllowHost, Origins: c.AllowOrigin, Open: c.Auth == "none"}}
	if err := a.addPrincipals(c.Principals, r); err != nil {
		return nil, err
	}
	if err := c.addUserToken(ctx, a, r); err != nil {
		return nil, err
	}
	if err := a.addTokens(c.Tokens, r, log); err != nil {
		return nil, err
	}
	if err := a.addJWTs(&c.jwtFlags, r, log); err != nil {
		return nil, err
	}
	if c.hasCertificates() {
		a.certificates = auth.NewCertificates(a.principals.Load)
		a.chain.Sources = append(a.chain.Sources, a.certificates)
	}
	peers, err := c.allowed()
	if err != nil {
		return nil, err
	}
	if peers != nil {
		a.chain.Sources = append(a.chain.Sources, peers)
	}
	if !c.hasCredentials() && c.Policy == "" {
		a.chain.Sources = append(a.chain.Sources, auth.OwnUser())
	}
	a.proxies, err = parseProxies(c.TrustedProxy)
	return a, err
}

// finish checks what was read. It is called when all files, that of the policy too, were read for
// the first time, and before any is reloaded.
func (a *authentication) finish() error {
	a.complete = true
	if err := a.check(a.tokens, a.principals.Load(), a.uids); err != nil {
		return &statusError{exitUsage, err}
	}
	return nil
}

// check returns an error if a new content of a file would guarantee more sessions than may run, or
// make principals share a user although no flag permits it. Before finish it accepts everything.
func (a *authentication) check(tokens []auth.Token, p *auth.Principals, uids usersOf) error {
	if !a.complete {
		return nil
	}
	if err := a.flags.checkQuotas(tokens, p); err != nil || a.flags.SharedUser {
		return err
	}
	return checkUsers(a.flags.starters(tokens, p), groupsIn(p), uids)
}

// addPrincipals reads the principals file.
func (a *authentication) addPrincipals(path string, r *reloader) error {
	if path == "" {
		return nil
	}
	return r.begin("principals", func() error {
		p, err := readPrincipals(path)
		if err == nil {
			err = a.check(a.tokens, p, a.uids)
		}
		if err == nil {
			a.principals.Store(p)
		}
		return err
	}, path)
}

func readPrincipals(path string) (*auth.Principals, error) {
	text, _, err := readOperatorFile("--principals", path, auth.MaxPrincipalsFileBytes)
	if err != nil {
		return nil, err
	}
	return auth.ParsePrincipals(path, text)
}

// addUserToken adds the token of --token-file, if there is one.
func (c *serveCmd) addUserToken(ctx context.Context, a *authentication, r *reloader) error {
	if c.Auth == "none" || c.hasCredentials() && c.TokenFile == "" {
		c.TokenFile = ""
		return nil
	}
	if c.TokenFile == "" {
		c.TokenFile = tokenPath(c.Socket)
	}
	if c.TokenFile == "" {
		return &statusError{exitUsage, errors.New("no home directory for the token: --token-file is required")}
	}
	path, err := filepath.Abs(c.TokenFile)
	if err != nil {
		return err
	}
	c.TokenFile = path
	token, err := ensureToken(ctx, path)
	if err != nil {
		return err
	}
	source := auth.NewTokens(auth.UserToken(token))
	a.chain.Sources = append(a.chain.Sources, source)
	r.add("token", func() error {
		token, err := readToken(path)
		if err == nil {
			source.Set([]auth.Token{auth.UserToken(token)})
		}
		return err
	}, path)
	return nil
}

// addTokens adds the tokens of the tokens file.
func (a *authentication) addTokens(path string, r *reloader, log zerolog.Logger) error {
	if path == "" {
		return nil
	}
	source := auth.NewTokens()
	a.chain.Sources = append(a.chain.Sources, source)
	return r.begin("tokens", func() error {
		text, info, err := readOperatorFile("--tokens", path, auth.MaxTokenFileBytes)
		if err != nil {
			return err
		}
		all, err := auth.ParseTokens(path, text)
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o004 != 0 {
			log.Warn().Str("file", path).Str("mode", fmt.Sprintf("%04o", mode)).Msg("every user can read the tokens file")
		}
		if err := a.check(all, a.principals.Load(), a.uids); err != nil {
			return err
		}
		a.tokens = all
		source.Set(all)
		return nil
	}, path)
}
