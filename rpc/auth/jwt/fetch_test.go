package jwt

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/runnel-rpc/runnel/rpc/auth"
)

// issuerServer serves a key set, and counts the requests.
type issuerServer struct {
	*httptest.Server
	requests atomic.Int32
	answer   atomic.Pointer[http.HandlerFunc]
}

func newIssuer(t *testing.T, answer http.HandlerFunc) *issuerServer {
	t.Helper()
	i := &issuerServer{}
	i.answer.Store(&answer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.requests.Add(1)
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func serving(text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }
}

func (i *issuerServer) source(t *testing.T, changed func()) *Source {
	t.Helper()
	s, err := New(Options{Keys: i.URL, Issuer: issuer, Audience: audience1, Principals: mappings(t, aliceIsAdmin), Changed: changed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// again permits the next fetch, as if the last one was a while ago.
func (s *Source) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = time.Time{}
}

// TestFetch: a token with an unknown key waits for a fetch; more such tokens cause no further one.
func TestFetch(t *testing.T) {
	i := newIssuer(t, serving(publicSet(t, "rsa")))
	changed := make(chan struct{}, 1)
	s := i.source(t, func() { changed <- struct{}{} })
	known := auth.Credential{Token: sign(t, jose.RS256, testKeys()["rsa"], "rsa", goodClaims())}
	added := auth.Credential{Token: sign(t, jose.ES256, testKeys()["p256"], "p256", goodClaims())}
	id, err := s.Identify(known) // waits for the first fetch
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := s.Identify(added); err != unknownKey {
			t.Fatal(err)
		}
	}
	if n := i.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	i.answer.Store(handler(serving(publicSet(t, "p256"))))
	s.again()
	if _, err := s.Identify(added); err != nil {
		t.Error(err)
	}
	<-changed
	if s.Accepts(id) {
		t.Error("a token is accepted whose key was removed")
	}
	if n := i.requests.Load(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func handler(f http.HandlerFunc) *http.HandlerFunc { return &f }

// TestSlowFetch: concurrent tokens with unknown keys share a fetch, and one with a known key does not
// wait for it.
func TestSlowFetch(t *testing.T) {
	i := newIssuer(t, serving(publicSet(t, "rsa")))
	s := i.source(t, nil)
	known := auth.Credential{Token: sign(t, jose.RS256, testKeys()["rsa"], "rsa", goodClaims())}
	added := auth.Credential{Token: sign(t, jose.ES256, testKeys()["p256"], "p256", goodClaims())}
	if _, err := s.Identify(known); err != nil {
		t.Fatal(err)
	}
	release, begun := make(chan struct{}), make(chan struct{}, 1)
	i.answer.Store(handler(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-release
		serving(publicSet(t, "rsa", "p256"))(w, r)
	}))
	s.again()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Identify(added); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	if _, err := s.Identify(known); err != nil {
		t.Error(err)
	}
	close(release)
	wg.Wait()
	if n := i.requests.Load(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestFailedFetch: the old keys stay, whatever the issuer answers.
func TestFailedFetch(t *testing.T) {
	i := newIssuer(t, serving(publicSet(t, "rsa")))
	s := i.source(t, func() { t.Error("changed") })
	known := auth.Credential{Token: sign(t, jose.RS256, testKeys()["rsa"], "rsa", goodClaims())}
	added := auth.Credential{Token: sign(t, jose.ES256, testKeys()["p256"], "p256", goodClaims())}
	if _, err := s.Identify(known); err != nil {
		t.Fatal(err)
	}
	elsewhere := newIssuer(t, serving(publicSet(t, "p256")))
	for name, answer := range map[string]http.HandlerFunc{
		"error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, string(publicSet(t, "p256")), 500) },
		"no JSON": serving([]byte("<html>")),
		"empty":   serving([]byte(`{"keys":[]}`)),
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"large":    serving([]byte(strings.Repeat(" ", MaxKeySetBytes) + string(publicSet(t, "p256")))),
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
	} {
		i.answer.Store(&answer)
		s.again()
		if _, err := s.Identify(added); err != unknownKey {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Identify(known); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := elsewhere.requests.Load(); n != 0 {
		t.Error("the redirect was followed")
	}
}

// TestURLs: keys come over https only, except from this machine.
func TestURLs(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://issuer.example/keys": true, "http://127.0.0.1:1/keys": true, "http://localhost/keys": true, "http://[::1]/keys": true,
		"http://issuer.example/keys": false, "http://10.0.0.1/keys": false, "file:///keys": false, "ftp://localhost/keys": false, "issuer": false, "": false,
		"http://localhost.issuer.example/": false,
	} {
		if err := checkURL(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
