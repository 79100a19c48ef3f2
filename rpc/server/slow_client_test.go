//go:build linux

package server_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
)

// ping returns a ping frame of a client.
var ping = []byte{0x89, 0x80, 0, 0, 0, 0}

// pings sends pings while f runs.
func (p *peer) pings(f func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = p.conn.Write(ping)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	f()
}

// TestClientThatDoesNotRead: a client that gets much output and reads nothing needs a bounded
// amount of memory and has no effect on others. If it reads again after a while, and has sent
// pings meanwhile, it has lost nothing; its connection outlasts the WebSocket library's five
// seconds for a pong, if there are as many rounds.
func TestClientThatDoesNotRead(t *testing.T) {
	interval := time.Duration(rounds(300, 1000)) * time.Millisecond
	s := serve(t, func(set *settings) {
		set.Server.PingInterval = interval
		set.Server.WriteTimeout = testTimeout
		set.Session.MaxRetained = 10
	})
	never, drops, again, other := s.dial(t), s.dial(t), s.dial(t), s.dial(t)
	const size = 6000000
	x := &transcript{}
	flat(t, 8<<20, func() {
		never.start(object{"command": "yes"})
		drops.start(object{"command": "while :; do seq 1 20000 >&2; done", "slow_client": "drop"})
		x.id = again.start(object{"command": fmt.Sprintf("seq 1 3000000 | head -c %d", size)})
		drops.pings(func() {
			never.pings(func() {
				again.pings(func() {
					for end := time.Now().Add(53 * interval / 10); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
						if x := other.run(object{"command": "echo here"}); x.stdout() != "here\n" {
							t.Errorf("%q", x.stdout())
						}
					}
				})
			})
		})
	})
	never.reset()
	drops.reset()
	last, n := 0, 0
	x.hash = func(_ string, data []byte) {
		for line := range bytes.Lines(data) {
			n++
			if n == last+1 && string(line) == fmt.Sprintln(n) {
				last = n
			}
		}
	}
	again.pings(func() { again.follow(x) })
	if x.bytes["stdout"] != size || x.record.Output.StdoutBytes != size || x.record.Status != "completed" || len(x.gaps) > 0 {
		t.Errorf("%d bytes, %+v, gaps %v", x.bytes["stdout"], x.record, x.gaps)
	}
	if n-last > 1 { // the last one is cut
		t.Errorf("of %d lines the first %d are in sequence", n, last)
	}
	again.reset()
	s.idle()
}

// TestPingsUnderFlood: a client that only answers pings is not disconnected, however much output it
// gets.
func TestPingsUnderFlood(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Server.PingInterval = 500 * time.Millisecond })
	p := s.dial(t)
	_ = p.tcp.SetReadBuffer(64 << 10) // so that pings are read soon
	id := p.start(object{"command": "yes"})
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		p.event("process.output", id)
	}
	p.ok("cancel", nil, nil)
}

// TestClientThatReadsNothingIsDisconnected: after write_timeout, although it sends. One that reads
// a little is not.
func TestClientThatReadsNothingIsDisconnected(t *testing.T) {
	runParallel(t)
	s := serve(t, func(set *settings) { set.Server.WriteTimeout = time.Second })
	stuck, slow := s.dial(t), s.dial(t)
	treeID := "RUNNEL_TREE=" + uuid.NewString()
	flood := object{"command": "sleep 1000 & yes", "env": object{"RUNNEL_TREE": treeID[12:]}}
	stuck.start(flood)
	id := slow.start(object{"command": "yes"})
	stuck.pings(func() {
		gone := func() bool { return s.registry.Running() == 1 && len(processesOf(treeID)) == 0 }
		end := time.Now().Add(testTimeout)
		for begin := time.Now(); !gone() || time.Since(begin) < 2000*time.Millisecond; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the peer is still connected")
			}
			for range 20 {
				slow.event("process.output", id)
			}
		}
	})
	slow.ok("cancel", object{"session_id": id}, nil)
}

// TestPingsOfClientThatReadsNothing: only the newest ping needs an answer (RFC 6455 §5.5.3), so
// a client that sends pings and does not read needs no memory for them.
func TestPingsOfClientThatReadsNothing(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	p.start(object{"command": "yes"})
	frame := append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, bytes.Repeat([]byte("p"), 125)...)
	many := bytes.Repeat(frame, 1000)
	flat(t, 8<<20, func() {
		for range 70 {
			_ = p.tcp.SetWriteDeadline(time.Now().Add(testTimeout))
			if _, err := p.conn.Write(many); err != nil {
				t.Fatal(err)
			}
		}
	})
	p.reset()
	s.idle()
}

// TestSlowClientDrop: with slow_client drop the process continues while the client does not read,
// and the lost output is reported exactly.
func TestSlowClientDrop(t *testing.T) {
	s := serve(t, func(set *settings) { set.NoSpool = true })
	p, q := s.dial(t), s.dial(t)
	id := uuid.NewString()
	const size = 30000000
	half := fmt.Sprintf("yes 0123456789 | head -c %d; ", size/2)
	p.good(p.call("execute", object{
		"command": half + "read x; " + half + "echo; echo end >&2", "session_id": id, "slow_client": "drop", "stdin": "pipe",
	}))
	eventually(t, "half of the output is written", func() bool {
		var st rpc.SessionStatus
		q.ok("status", object{"session_id": id}, &st)
		return st.Output.StdoutBytes == size/2
	})
	for range 5 { // events that are lost are no bytes that are lost
		q.ok("control", object{"session_id": id, "type": "PAUSE"}, nil)
		q.ok("control", object{"session_id": id, "type": "RESUME"}, nil)
	}
	q.ok("write", object{"session_id": id, "data": "\n"}, nil)
	var rec rpc.Completion
	q.ok("wait", object{"session_id": id}, &rec) // though p reads nothing
	x := &transcript{id: id, hash: func(string, []byte) {}}
	p.follow(x)
	var lost int64
	for _, g := range x.gaps {
		lost += g.LostBytes
		if g.Reason != "slow_client" || g.LostBytes <= 0 {
			t.Errorf("%+v", g)
		}
	}
	if len(x.gaps) == 0 || x.bytes["stdout"]+lost != size+1 || x.record.Output.StdoutBytes != size+1 {
		t.Errorf("%d received, %d lost in %d gaps, of %d", x.bytes["stdout"], lost, len(x.gaps), x.record.Output.StdoutBytes)
	}
	if x.record.Output.LostBytes != lost || x.bytes["stderr"] != 4 || x.record.Status != "completed" {
		t.Errorf("%+v", x.record)
	}
	if rec.Seq != x.record.Seq {
		t.Errorf("%+v, %+v", rec, x.record)
	}
	p.ok("pong", nil, nil)
}

// TestEventsOnly: with stream false there is no output and no gap, and the process is not paced.
func TestEventsOnly(t *testing.T) {
	s := serve(t)
	p := s.dial(t)
	id := p.start(object{"command": "yes | head -c 10000000", "stream": false})
	for m := p.any(); m.Method != "process.completed"; m = p.any() {
		if m.Method != "process.started" || m.session != id {
			t.Errorf("%.200s", m.text)
		}
	}
	var r struct {
		Output    rpc.OutputCounts
		Stdout    string
		Truncated bool `json:"stdout_truncated"`
	}
	p.ok("execute", object{"command": "yes | head -c 10000000", "wait": true}, &r)
	if r.Output.StdoutBytes != 10000000 || len(r.Stdout) != 65536 || !r.Truncated {
		t.Errorf("%+v, %d captured", r.Output, len(r.Stdout))
	}
}
