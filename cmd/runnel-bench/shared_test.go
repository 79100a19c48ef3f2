//go:build linux

package main

import "testing"

// TestCrowd checks that a crowd does what it is told and stops, and that the other principal is served
// meanwhile.
func TestCrowd(t *testing.T) {
	b, err := newBench(t.Context(), &options{server: testedBinary(t), quick: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	var undo cleanup
	defer func() {
		if undo.run(&err); err != nil {
			t.Error(err)
		}
	}()
	s, err := b.startShared(&undo, b.programs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{crowdExecutes, crowdStreams, "stop"} {
		if err := s.crowd.tell(what); err != nil {
			t.Fatal(what, err)
		}
		if _, err := s.conn.execute(nil, "echo"); err != nil {
			t.Error(what, err)
		}
		if err := s.crowd.tell("stop"); err != nil {
			t.Fatal(what, err)
		}
	}
}

// TestKeeps checks that a log that was evicted is noticed.
func TestKeeps(t *testing.T) {
	b, err := newBench(t.Context(), &options{server: testedBinary(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	s, err := b.start(b.programs[0], "--replay-total=2MiB", "--spool-dir=")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.dial(smallBuffer)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	oldest := ""
	for i := range 3 {
		id, err := c.executeFill()
		if err != nil || id == "" {
			t.Fatalf("%q, %v", id, err)
		}
		if i == 0 {
			oldest = id
		}
		if kept, err := c.keeps(id); !kept || err != nil {
			t.Errorf("the log of session %d: %v, %v", i, kept, err)
		}
		if kept, err := c.keeps(oldest); kept != (i < 2) || err != nil {
			t.Errorf("the oldest log with %d others: %v, %v", i, kept, err)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
