package server

import (
	"io"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/wire"
	"github.com/runnel-rpc/runnel/session"
)

// TestPanicOutsideOfHandlers closes the connection and does not end the server.
func TestPanicOutsideOfHandlers(t *testing.T) {
	writes, reads := loopback(t)
	d := current
	d.parse = func([]byte, int, []wire.Call) ([]wire.Call, bool, *wire.Error) { panic("a bug") }
	s := New(session.NewRegistry(session.Options{}), Options{PingInterval: time.Minute, WriteTimeout: time.Minute, MaxMessageBytes: 100})
	c := newConn(s, access.Identity{}, "", &d, newSocket(reads, time.Minute), clientFrame(frameText, []byte("{}"), [4]byte{}))
	ended := make(chan bool)
	go func() { c.serve(); close(ended) }()
	got, err := io.ReadAll(writes)
	if want := string(closeFrame(uint16(websocket.StatusInternalError), "internal error")); string(got) != want || err != nil {
		t.Errorf("received %q, %v; want %q", got, err, want)
	}
	_ = writes.Close()
	<-ended
}
