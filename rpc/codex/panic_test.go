package codex

import "testing"

// TestPanicOfAProcess checks that a panic of the goroutine of a process does not end the server, and that
// the process is forgotten.
func TestPanicOfAProcess(t *testing.T) {
	s := newClientSession(New(Options{}), "id", "user")
	p, err := s.add("p", false)
	if err != nil {
		t.Fatal(err)
	}
	p.guard(func() { p.events.span(5) }) // there is no such event
	if s.find("p") != nil || p.ctx.Err() == nil {
		t.Error("the process is known")
	}
}
