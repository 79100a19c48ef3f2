package codex

import "sync"

const (
	// maxHTTPRequests is how many requests of a connection may run, with those whose bodies are sent.
	maxHTTPRequests = 64
	// maxHTTPRequestsOfPrincipal and maxHTTPRequestsOfAll are how many may run on all connections. Each has a
	// descriptor of the server, or two while it connects. Each principal may have one beyond the bound of all, so
	// that a few principals cannot keep the others from making any.
	maxHTTPRequestsOfPrincipal = 128
	maxHTTPRequestsOfAll       = 512
)

// httpSlots counts the requests that run. Its methods may be called concurrently. The zero value has none.
type httpSlots struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by principal
}

// take counts a request, unless there are too many.
func (s *httpSlots) take(principal string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[principal]
	if own == maxHTTPRequestsOfPrincipal || own > 0 && s.all >= maxHTTPRequestsOfAll {
		return false
	}
	if s.of == nil {
		s.of = make(map[string]int)
	}
	s.all++
	s.of[principal]++
	return true
}

func (s *httpSlots) release(principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[principal]--; s.of[principal] == 0 {
		delete(s.of, principal)
	}
}
