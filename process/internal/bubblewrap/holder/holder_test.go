package holder

import (
	"bytes"
	"testing"
)

func TestReply(t *testing.T) {
	for _, want := range []Reply{{}, {Isolate, 1}, {Listen, 1 << 31}} {
		message := want.encode()
		if got, ok := ParseReply(message[:]); got != want || !ok {
			t.Errorf("%+v, %v, want %+v", got, ok, want)
		}
	}
	for _, message := range []string{"", "\x01", "\x01\x00\x01\x00\x00\x00", "\x01\x01\x00\x00\x00\x00", "\x02\x00\x00\x00\x00\x00", "\x01\x05\x01\x00\x00\x00", "\x01\x00\x00\x00\x00\x00\x00"} {
		if r, ok := ParseReply([]byte(message)); ok {
			t.Errorf("%q: %+v", message, r)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x04\x0d\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		r, ok := ParseReply(message)
		if !ok {
			return
		}
		if again := r.encode(); !bytes.Equal(again[:], message) {
			t.Errorf("%q is %+v, which is %q", message, r, again)
		}
		if r.Step.String() == "" || r.Step.String() == "unknown step" {
			t.Error(r.Step)
		}
	})
}
