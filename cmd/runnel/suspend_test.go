//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestSuspendedServer: a suspended server does not apply its timeouts to the time of the
// suspension. If it was suspended alone, it first processes what commands and clients have written;
// if they were suspended with it, it does not count the time.
func TestSuspendedServer(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, ready := p.serve(t, "--auth=none", "--stream-timeout=1.5s", "--ping-interval=500ms", "--linger=2s")
	sends, answers := dialRaw(t, ready.URL), dialRaw(t, ready.URL)
	const writes = "while :; do echo x; sleep 0.05; done"
	writing, frozen, alone := sends.execute(writes), answers.execute(writes), answers.execute(writes)
	silent := sends.execute("exec sleep 1000")
	stop := sends.keepSending()
	answers.call("detach", object{"session_id": alone.SessionID}, nil)

	_ = syscall.Kill(-frozen.PGID, syscall.SIGSTOP)
	server.signal(syscall.SIGSTOP)
	time.Sleep(3 * time.Second) // the suspension, longer than all timeouts
	server.signal(syscall.SIGCONT)
	answers.call("attach", object{"session_id": alone.SessionID}, nil)
	time.Sleep(100 * time.Millisecond) // the command continues later than the server
	_ = syscall.Kill(-frozen.PGID, syscall.SIGCONT)

	if why := answers.wait(silent); why != "stream_timeout" {
		t.Errorf("a command without output ended with reason %q", why)
	}
	for _, x := range []executed{writing, frozen, alone} {
		var status struct{ State string }
		sends.call("status", object{"session_id": x.SessionID}, &status)
		if status.State != "running" {
			t.Errorf("a command that writes is %s, want running", status.State)
		}
	}
	stop()
}

type object map[string]any

type executed struct {
	SessionID string `json:"session_id"`
	PGID      int
}

// rawPeer is a WebSocket client without package client. It reads all the time, and thus answers
// pings.
type rawPeer struct {
	t       *testing.T
	ws      *websocket.Conn
	replies chan []byte
	close   func()
	write   sync.Mutex
}

func dialRaw(t *testing.T, url string) *rawPeer {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	p := &rawPeer{t: t, ws: ws, replies: make(chan []byte)}
	var reader sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	reader.Go(func() {
		defer close(p.replies)
		for {
			_, text, err := ws.Read(ctx)
			if err != nil {
				return
			}
			if !bytes.Contains(text, []byte(`"method":`)) {
				select {
				case p.replies <- text:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	p.close = sync.OnceFunc(func() {
		cancel()
		_ = ws.CloseNow()
		reader.Wait()
	})
	t.Cleanup(p.close)
	return p
}

func (p *rawPeer) send(message object) error {
	p.write.Lock()
	defer p.write.Unlock()
	text, _ := json.Marshal(message)
	return p.ws.Write(context.Background(), websocket.MessageText, text)
}

// call sends a request and waits for the reply. Calls must not be concurrent.
func (p *rawPeer) call(method string, params object, result any) {
	p.t.Helper()
	if err := p.send(object{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}); err != nil {
		p.t.Fatal(err)
	}
	select {
	case text, open := <-p.replies:
		reply := struct{ Result, Error json.RawMessage }{}
		if err := json.Unmarshal(text, &reply); !open || err != nil || reply.Error != nil {
			p.t.Fatalf("%s: %s, %v; connected: %v", method, text, err, open)
		}
		if result != nil {
			if err := json.Unmarshal(reply.Result, result); err != nil {
				p.t.Fatal(err)
			}
		}
	case <-time.After(testTimeout):
		p.t.Fatalf("%s: no reply within %v", method, testTimeout)
	}
}

func (p *rawPeer) execute(command string, more ...object) (x executed) {
	p.t.Helper()
	params := object{"command": command}
	for _, m := range more {
		maps.Copy(params, m)
	}
	p.call("execute", params, &x)
	return x
}

// wait returns the reason of the end of a session.
func (p *rawPeer) wait(x executed) string {
	p.t.Helper()
	var end struct{ Reason string }
	p.call("wait", object{"session_id": x.SessionID}, &end)
	return end.Reason
}

// keepSending sends a notification every 20 ms until stop is called.
func (p *rawPeer) keepSending() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var sender sync.WaitGroup
	sender.Go(func() {
		for ctx.Err() == nil && p.send(object{"jsonrpc": "2.0", "method": "pong"}) == nil {
			select {
			case <-time.After(20 * time.Millisecond): // until the next notification
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		sender.Wait()
	}
}
