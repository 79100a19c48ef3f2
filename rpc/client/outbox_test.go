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
