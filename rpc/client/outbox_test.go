package client

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestPings: the outbox sends pings at the interval while nothing else is sent.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		o, stop := newOutbox(client), make(chan struct{})
		go func() { _ = o.run(stop) }()
		o.startPings(time.Minute)
		begin := time.Now()
		for i := range 3 {
			ping := make([]byte, 2+maskSize)
			if _, err := server.Read(ping); err != nil || ping[0] != framePing || ping[1] != masked {
				t.Fatalf("% x, %v", ping, err)
			}
			if at := time.Since(begin); at != time.Duration(i+1)*time.Minute {
				t.Errorf("ping %d after %v", i+1, at)
			}
		}
		close(stop)
		<-o.done
		_, _ = client.Close(), server.Close()
	})
}

// TestOrderOfFrames: only the newest pong is sent, before queued messages; a close frame is sent
// after them, and then nothing.
func TestOrderOfFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		o := newOutbox(client)
		for _, text := range []string{"1", "2"} {
			if err := o.send(t.Context(), &outgoing{frame: []byte("\x81" + text)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, control := range []string{"\x8aold", "\x8anew", "\x88"} {
			if err := o.control([]byte(control)); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.send(t.Context(), &outgoing{frame: []byte("\x813")}); !errors.Is(err, errOutboxClosed) {
			t.Errorf("send after a close frame: %v", err)
		}
		go func() { _ = o.run(nil) }()
		var got []string
		b := make([]byte, 9)
		for range 4 {
			n, err := server.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(b[:n]))
		}
		if want := []string{"\x8anew", "\x811", "\x812", "\x88"}; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%q, want %q", got, want)
		}
		<-o.done
		_, _ = client.Close(), server.Close()
	})
}

// TestRestOfAPartialWrite: the rest of a message that a sender has written in part is written
// first, before a pong.
func TestRestOfAPartialWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		o := newOutbox(client)
		var tried []string
		o.tryWrite = func(b []byte) int {
			tried = append(tried, string(b))
			return min(2, len(b))
		}
		for _, text := range []string{"\x81", "\x811", "\x81234", "\x815"} {
			if err := o.send(t.Context(), &outgoing{frame: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		}
		_ = o.control([]byte("\x8a"))
		if want := []string{"\x81", "\x811", "\x81234"}; fmt.Sprintf("%q", tried) != fmt.Sprintf("%q", want) {
			t.Errorf("tried %q, want %q", tried, want)
		}
		stop := make(chan struct{})
		go func() { _ = o.run(stop) }()
		var got []string
		b := make([]byte, 9)
		for range 3 {
			n, err := server.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(b[:n]))
		}
		if want := []string{"34", "\x8a", "\x815"}; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%q, want %q", got, want)
		}
		close(stop)
		<-o.done
		_, _ = client.Close(), server.Close()
	})
}

// TestReplyBeforeWriteReturns: the buffer of a message that may be sent again is in use until the write has
// returned, also if the reply was received before.
func TestReplyBeforeWriteReturns(t *testing.T) {
	o := newOutbox(nil)
	m, err := new(connection).encode("write", "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.retain()
	reused := func() bool {
		for range 100 {
			if buffers.Get() == m.buffer {
				return true
			}
		}
		return false
	}
	o.tryWrite = func(b []byte) int {
		m.release() // the reply
		if reused() {
			t.Error("the buffer is used again during the write")
		}
		return len(b)
	}
	if err := o.send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if users := m.users.Load(); users != 0 {
		t.Errorf("the buffer has %d users after the write", users)
	}
}
