//go:build linux

package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc"
)

// TestAbortIsLogged: once, with the reason.
func TestAbortIsLogged(t *testing.T) {
	runParallel(t)
	for name, c := range map[string]struct {
		params object
		pings  bool
		why    string
	}{
		"silent":             {sleeper, false, "nothing was received for 1.5s"},
		"silent and flooded": {object{"command": "yes"}, false, "nothing was received for 1.5s"},
		"takes nothing":      {object{"command": "yes"}, true, "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			log := &errorLog{}
			s := serve(t, func(set *settings) {
				set.Server.PingInterval = 500 * time.Millisecond
				set.Server.WriteTimeout = testTimeout
				if c.pings {
					set.Server.WriteTimeout = time.Second
				}
				set.Server.Log = zerolog.New(log)
			})
			p := s.dial(t)
			p.pings(func() { // the start may take longer than a silence
				p.start(c.params)
				if c.pings {
					s.idle()
				}
			})
			s.idle()
			eventually(t, "the connection ends", func() bool { return strings.Contains(log.text(), `"disconnected"`) })
			if text := log.text(); strings.Count(text, "connection aborted") != 1 || !strings.Contains(text, c.why) {
				t.Errorf("logged: %s", text)
			}
		})
	}
}

// TestSlowReaderIsAlive: a peer that reads steadily is not disconnected, although it has not read a
// ping and so answers none. When it stops reading it is. It reads as much in three ping
// intervals as one does at 30 kB/s with the defaults.
func TestSlowReaderIsAlive(t *testing.T) {
	runParallel(t)
	atAnySpeed(t, 500*time.Millisecond, func(interval time.Duration) bool {
		pause := interval / 10
		log := &errorLog{}
		s := serve(t, func(set *settings) {
			set.Server.PingInterval = interval
			set.Server.WriteTimeout = testTimeout
			set.Server.Log = zerolog.New(log)
		})
		p := s.dial(t)
		p.pings(func() { p.start(object{"command": "yes"}) }) // the start may take longer than a silence
		const perInterval = 30_000 * 20
		sip := make([]byte, perInterval/10)
		for end := time.Now().Add(7 * interval); time.Now().Before(end); time.Sleep(pause) {
			if _, err := io.ReadFull(p.conn, sip); err != nil {
				t.Logf("disconnected: %v; %s", err, log.text())
				return false
			}
		}
		if text := log.text(); strings.Contains(text, "connection aborted") {
			t.Logf("logged: %s", text)
			return false
		}
		s.idle()
		eventually(t, "the connection ends", func() bool { return strings.Contains(log.text(), `"disconnected"`) })
		if text := log.text(); !strings.Contains(text, fmt.Sprintf("nothing was received for %v", 3*interval)) {
			t.Errorf("logged: %s", text)
		}
		return true
	})
}

// TestSilentAfterHandshake: a connection on which nothing is ever received is disconnected too.
func TestSilentAfterHandshake(t *testing.T) {
	s := serve(t, func(set *settings) {
		set.Server.PingInterval = 50 * time.Millisecond
		set.Server.MaxConnections = 1
	})
	p, err := s.tryDial(t, dialing{path: "/ws"})
	if err != nil {
		t.Fatal(err)
	}
	s.dialSoon(t, dialing{path: "/ws"})
	_ = p.ws.CloseNow()
}

// TestCloseFrameIsEchoed: with its code, unless its reason is not UTF-8.
func TestCloseFrameIsEchoed(t *testing.T) {
	s := serve(t)
	for _, code := range []websocket.StatusCode{1000, 1001, 1008, 3000, 4999} {
		p := s.dial(t)
		p.start(sleeper)
		_, _ = p.conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, byte(code >> 8), byte(code)})
		p.closed(code)
		s.idle()
	}
	p := s.dial(t)
	_, _ = p.conn.Write([]byte{0x88, 0x80, 0, 0, 0, 0}) // with no code
	p.closed(websocket.StatusNoStatusRcvd)
	for reason, code := range map[string]websocket.StatusCode{
		"bye, \u00e9\U0001f600": 1000, "\xff": 1007, "half \xe2\x82": 1007, "surrogate \xed\xa0\x80": 1007,
	} {
		p := s.dial(t)
		p.start(sleeper)
		_, _ = p.conn.Write(append([]byte{0x88, 0x80 | byte(2+len(reason)), 0, 0, 0, 0, 1000 >> 8, 1000 & 0xff}, reason...))
		p.closed(code)
		s.idle()
	}
}

// TestRefusedFrames: each violation has its close code, and the tree of the session is killed.
func TestRefusedFrames(t *testing.T) {
	s := serve(t)
	for name, test := range map[string]struct {
		send func(p *peer)
		code websocket.StatusCode
	}{
		"binary":           {func(p *peer) { _ = p.write(websocket.MessageBinary, []byte("{}")) }, 1003},
		"empty binary":     {func(p *peer) { _ = p.write(websocket.MessageBinary, nil) }, 1003},
		"not UTF-8":        {func(p *peer) { _ = p.write(websocket.MessageText, []byte("{\"\xff\":1}")) }, 1007},
		"surrogate":        {func(p *peer) { _ = p.write(websocket.MessageText, []byte("\"\xed\xa0\x80\"")) }, 1007},
		"half a character": {func(p *peer) { _ = p.write(websocket.MessageText, []byte("\"\xe2\x82")) }, 1007},
		"over the bound":   {func(p *peer) { _ = p.write(websocket.MessageText, make([]byte, 1<<20+1)) }, 1009},
		"far over it": {func(p *peer) {
			_, _ = p.conn.Write([]byte{0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
			_, _ = p.conn.Write(make([]byte, 2<<20))
		}, 1009},
		"reserved bits":     {func(p *peer) { _, _ = p.conn.Write([]byte{0xf1, 0x80, 0, 0, 0, 0}) }, 1002},
		"unknown opcode":    {func(p *peer) { _, _ = p.conn.Write([]byte{0x83, 0x80, 0, 0, 0, 0}) }, 1002},
		"not masked":        {func(p *peer) { _, _ = p.conn.Write([]byte{0x81, 0x02, '{', '}'}) }, 1002},
		"continues nothing": {func(p *peer) { _, _ = p.conn.Write([]byte{0x80, 0x80, 0, 0, 0, 0}) }, 1002},
		"long ping":         {func(p *peer) { _, _ = p.conn.Write([]byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}) }, 1002},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.dial(t)
			p.start(sleeper)
			test.send(p)
			p.t = t
			p.closed(test.code)
			s.idle()
		})
	}
	p := s.dial(t)
	p.send(`{"jsonrpc":"2.0","id":1,"method":"pong","params":{"x":"%s"}}`, make([]byte, 0))
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = ' '
	}
	copy(big, `{"jsonrpc":"2.0","id":2,"method":"pong"}`)
	if err := p.write(websocket.MessageText, big); err != nil { // exactly the bound
		t.Fatal(err)
	}
	p.good(p.reply("1"))
	p.good(p.reply("2"))
}

// TestFragments: a message may be fragmented, with control frames between the fragments.
func TestFragments(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	text := `{"jsonrpc":"2.0","id":"ü","method":"pong"}`
	for i := range len(text) {
		opcode := byte(0)
		if i == 0 {
			opcode = 1
		}
		if i == len(text)-1 {
			opcode |= 0x80
		}
		_, _ = p.conn.Write([]byte{opcode, 0x81, 0, 0, 0, 0, text[i]})
		_, _ = p.conn.Write(ping)
	}
	p.good(p.reply(`"ü"`))
}

// TestShutdown: all connections are notified, no session is accepted, running ones may end, and
// the close code is 1001.
func TestShutdown(t *testing.T) {
	s := serve(t)
	p, q := s.dial(t), s.dial(t)
	ends := p.start(object{"command": "read x; echo last words; yes | head -c 1000000", "stdin": "pipe"})
	stays := p.start(object{"command": "exec sleep 1000"})
	s.registry.Drain()
	s.server.Announce(false)
	for _, c := range []*peer{p, q} {
		var d rpc.Shutdown
		c.decode(c.notification("server.shutdown").Params, &d)
		if d.Drain != 5 {
			t.Errorf("%+v", d)
		}
		c.fails(-32010, "execute", object{"command": "true"})
		c.fails(-32010, "execute", object{"command": "true", "wait": true})
	}
	p.ok("write", object{"session_id": ends, "data": "\n"}, nil)
	x := &transcript{id: ends}
	p.follow(x)
	if x.bytes["stdout"] != 1000000+11 || x.record.Status != "completed" {
		t.Errorf("%+v", x.record)
	}
	done := make(chan struct{})
	go func() { s.shutdown(0); close(done) }()
	if rec := p.completed(stays); rec.Reason != "shutdown" || rec.Status != "failed" || rec.Signal == nil {
		t.Errorf("%+v", rec)
	}
	q.closed(websocket.StatusGoingAway)
	p.closed(websocket.StatusGoingAway)
	<-done
}
