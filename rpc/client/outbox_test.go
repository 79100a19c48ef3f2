package client

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestPingsWhereTheServerSendsTooFew: the client pings, also while it sends nothing.
func TestPingsWhereTheServerSendsTooFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, server := net.Pipe()
		o, over := newOutbox(ours), make(chan struct{})
		go func() { _ = o.run(over) }()
		o.pingEvery(time.Minute)
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
		close(over)
		<-o.done
		_, _ = ours.Close(), server.Close()
	})
}

// TestOrderOfWhatIsSent: a pong goes before what waits, the newest only; a close frame behind all, and then nothing.
func TestOrderOfWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, server := net.Pipe()
		o := newOutbox(ours)
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
		if err := o.send(t.Context(), &outgoing{frame: []byte("\x813")}); !errors.Is(err, errOver) {
			t.Errorf("behind a close frame: %v", err)
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
		_, _ = ours.Close(), server.Close()
	})
}

// TestWhatTheSenderCannotWrite: the rest of what a sender has begun goes before all else, a pong too.
func TestWhatTheSenderCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, server := net.Pipe()
		o := newOutbox(ours)
		var tried []string
		o.try = func(b []byte) int {
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
		over := make(chan struct{})
		go func() { _ = o.run(over) }()
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
		close(over)
		<-o.done
		_, _ = ours.Close(), server.Close()
	})
}
