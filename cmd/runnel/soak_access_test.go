//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// soakAccess is what a server has that is used by several users over a network: TLS on TCP, JWTs, and
// a policy. The methods of a nil *soakAccess do as a server without.
type soakAccess struct {
	key    *ecdsa.PrivateKey // of the issuer of JWTs
	client *tls.Config
	http   *http.Client

	mu     sync.Mutex        // held while a file is replaced
	server [][2][]byte       // certificates and keys of the server, which are used in turns
	files  map[string]string // by name
}

const (
	soakIssuer   = "https://issuer.example"
	soakAudience = "soak"
)

// soakMappings make subjects of JWTs principals.
const soakMappings = `[[jwt]]
subject = "subject-of-alice"
principal = "alice"
[[jwt]]
subject = "subject-of-bob"
principal = "bob"
`

// soakPolicy permits what the actions do. The commands of bob run as another user, if they can.
func soakPolicy() string {
	const everything = "shell = true\ndirectories = [\"/\"]\nprograms = [{path = \"/usr/bin/*\"}, {path = \"/bin/*\"}]\n" +
		"environment = {set = {PATH = \"/usr/bin:/bin\"}, drop = true}\n"
	text := ""
	for _, p := range slotUsers {
		text += "[principal." + p.name + "]\n" + everything
		if p.name == "bob" && os.Geteuid() == 0 {
			text += "user = \"nobody\"\ndirectory = \"/\"\n"
		}
	}
	return text
}

// newSoakAccess writes the files.
func newSoakAccess(s *soak) *soakAccess {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	a := &soakAccess{key: key, files: map[string]string{"policy": soakPolicy(), "principals": soakQuotas + soakMappings}}
	s.dir.writeKeys(s.t, key)
	a.files["jwks.json"] = string(readFile(s.t, s.dir.path("jwks.json")))
	end := time.Now().Add(*soakDuration + time.Hour)
	ca := s.dir.newAuthority(s.t, "ca")
	for range 2 {
		template := forServers
		template.NotAfter = end
		ca.sign("server", template)
		a.server = append(a.server, [2][]byte{readFile(s.t, s.dir.path("server.pem")), readFile(s.t, s.dir.path("server.key"))})
	}
	for name, text := range a.files {
		s.dir.replace(s.t, name, []byte(text))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(readFile(s.t, s.dir.path("ca.pem")))
	a.client = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	a.http = &http.Client{Transport: &http.Transport{TLSClientConfig: a.client, DisableKeepAlives: true}}
	// Commands of another user enter the directory, and write this file.
	if err := errors.Join(os.Chmod(s.dir.dir, 0o711), os.Chmod(s.dir.path(limitedFile), 0o666)); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// flags returns those of the server.
func (a *soakAccess) flags() []string {
	if a == nil {
		return nil
	}
	return []string{
		"--policy=policy", "--tls-cert=server.pem", "--tls-key=server.key", "--jwt-jwks=jwks.json", "--jwt-issuer=" + soakIssuer, "--jwt-audience=" + soakAudience,
	}
}

// clientFlags returns those of a verb that connects to the server.
func (a *soakAccess) clientFlags() []string {
	if a == nil {
		return nil
	}
	return []string{"--tls-ca=ca.pem"}
}

func (a *soakAccess) tls() *tls.Config {
	if a == nil {
		return nil
	}
	return a.client
}

func (a *soakAccess) httpClient() *http.Client {
	if a == nil {
		return nil
	}
	return a.http
}

// secure makes a TLS connection of one over TCP, if the server has TLS.
func (a *soakAccess) secure(ctx context.Context, c net.Conn) (net.Conn, error) {
	if a == nil {
		return c, nil
	}
	secure := tls.Client(c, a.client)
	return secure, secure.HandshakeContext(ctx)
}

// credential returns a token of the actor's principal, which may be a JWT.
func (a *actor) credential() string {
	if a.access == nil || !slices.Contains(soakPrincipals, a.principal) || !a.chance(2) {
		return a.token
	}
	return signJWT(a.t, a.access.key, map[string]any{
		"iss": soakIssuer, "aud": soakAudience, "sub": "subject-of-" + a.name, "exp": time.Now().Add(time.Hour).Unix(),
	})
}

// replaces replaces a file of the configuration while everything else goes on: by one that says the
// same, or by one that is not valid, and then by the right one. Nobody may notice it.
func (a *actor) replaces(context.Context) error {
	x := a.access
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if a.chance(3) { // between the two renames the certificate and the key do not belong together
		pair := oneOf(a, x.server...)
		err := writeAtomically(a.dir.path("server.pem"), pair[0])
		a.reload()
		a.pause(100)
		err = errors.Join(err, writeAtomically(a.dir.path("server.key"), pair[1]))
		a.reload()
		return err
	}
	name := oneOf(a, "policy", "principals", "jwks.json")
	var err error
	if a.chance(2) {
		err = writeAtomically(a.dir.path(name), []byte("{not = valid"))
		a.reload()
		a.pause(400)
	}
	err = errors.Join(err, writeAtomically(a.dir.path(name), []byte(x.files[name]+strings.Repeat("\n", a.random.IntN(3)))))
	a.reload()
	return err
}

// failedStart reports whether an error is one of an execute that cannot be carried out.
func (a *soakAccess) failedStart(err error) bool {
	return errors.Is(err, &rpc.Error{Code: rpc.CodeSpawnFailed}) || errors.Is(err, &rpc.Error{Code: rpc.CodeInvalidParams}) ||
		a != nil && errors.Is(err, &rpc.Error{Code: rpc.CodeForbidden})
}

// runsAs checks the user of a command.
func (a *actor) runsAs(ctx context.Context) error {
	c, err := a.connect(ctx, "user")
	if err != nil {
		return err
	}
	defer c.Close()
	p := argv("id", "-un")
	p.Wait, p.SessionID = true, a.newID()
	a.ledger.ask(a.key(p.SessionID), c.what)
	var r rpc.Captured
	err = c.CallIdempotent(ctx, rpc.MethodExecute, p, &r)
	a.ledger.answer(a.key(p.SessionID), err)
	if err != nil {
		return err
	}
	a.ledger.completed(a.key(p.SessionID), &r.Completion)
	isNobody := r.Stdout != nil && *r.Stdout == "nobody\n"
	if want := a.access != nil && a.name == "bob" && os.Geteuid() == 0; isNobody != want {
		return fmt.Errorf("a command of %s runs as %+v", a.name, r)
	}
	return nil
}
