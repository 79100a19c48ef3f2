package codex

import "testing"

// TestHTTPSlots checks the bounds of the requests of a principal and of all, and that a principal has one request while
// the others have all.
func TestHTTPSlots(t *testing.T) {
	var s httpSlots
	take := func(principal string) (n int) {
		for s.take(principal) {
			n++
		}
		return n
	}
	for _, x := range []struct {
		principal string
		want      int
	}{{"a", 128}, {"b", 128}, {"c", 128}, {"d", 128}, {"e", 1}, {"f", 1}} {
		if n := take(x.principal); n != x.want {
			t.Errorf("%s: %d requests, want %d", x.principal, n, x.want)
		}
	}
	for range 10 {
		s.release("a")
	}
	if n := take("e"); n != 8 { // with those of e and f there were 514
		t.Errorf("%d more requests, want 8", n)
	}
	for principal, n := range s.of {
		for range n {
			s.release(principal)
		}
	}
	if s.all != 0 || len(s.of) != 0 {
		t.Errorf("%d are left of %v", s.all, s.of)
	}
}
