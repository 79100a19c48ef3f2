package socketpair

import (
	"io"
	"testing"
)

// TestPair: what is written to one end is read from the other, until the first is closed.
func TestPair(t *testing.T) {
	a, b, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := a.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	if got, err := io.ReadAll(b); string(got) != "one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
