package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// refreshInterval is the time between two fetches of the keys.
	refreshInterval = 5 * time.Minute
	// retryInterval is the time until the next fetch after one that failed.
	retryInterval = 30 * time.Second
	// fetchInterval is the shortest time between two fetches, however many tokens have unknown keys.
	fetchInterval = 10 * time.Second
	// fetchTimeout bounds a fetch.
	fetchTimeout = 5 * time.Second
)

// newClient returns the client that fetches the keys. It follows no redirects: the URL of the keys is
// the one that the operator trusts.
func newClient() *http.Client {
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
	}
}

// refresh fetches the keys regularly until the source is closed.
func (s *Source) refresh() {
	for {
		<-s.startFetch()
		wait := refreshInterval
		if len(s.keys.Load().keys) == 0 {
			wait = retryInterval
		}
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-s.ctx.Done():
			next.Stop()
			return
		}
	}
}

// awaitFetch waits until the running fetch is done, or begins one if the last one is long enough ago.
func (s *Source) awaitFetch() { <-s.startFetch() }

// startFetch begins a fetch, and returns a channel that is closed when it is done. If one is running,
// it returns the channel of that one. If the last one began less than fetchInterval ago, or there is
// no URL, it begins none, and the channel is closed.
func (s *Source) startFetch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetch != nil {
		return s.fetch
	}
	done := make(chan struct{})
	if s.client == nil || s.ctx.Err() != nil || time.Since(s.fetched) < fetchInterval {
		close(done)
		return done
	}
	s.fetched, s.fetch = time.Now(), done
	s.wg.Go(func() {
		s.fetchKeys()
		s.mu.Lock()
		s.fetch = nil
		s.mu.Unlock()
		close(done)
	})
	return done
}

// fetchKeys replaces the keys by those of the URL. If it fails, the old ones stay.
func (s *Source) fetchKeys() {
	text, err := s.get()
	if err != nil {
		if s.ctx.Err() == nil {
			s.o.Log.Warn().Err(err).Msg("keys of JWTs not fetched")
		}
		return
	}
	old := s.keys.Load()
	if err := s.SetKeys(text); err != nil {
		s.o.Log.Warn().Err(err).Msg("keys of JWTs not fetched")
		return
	}
	for _, k := range old.keys {
		if !s.keys.Load().has(k.thumbprint) && s.o.Changed != nil {
			s.o.Changed()
			return
		}
	}
}

// get returns the response to a request for the keys.
func (s *Source) get() ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.o.Keys, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", s.o.Keys, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, MaxKeySetBytes+1))
	if err == nil && len(text) > MaxKeySetBytes {
		err = errTooLarge
	}
	return text, err
}
