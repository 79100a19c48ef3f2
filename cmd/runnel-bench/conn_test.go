//go:build linux

package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

const testSession = "00000000-0000-4000-8000-000000000001"

func outputMessage(seq int, data string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.output","params":{"session_id":%q,"seq":%d,"type":"stdout","data":%q}}`, testSession, seq, data)
}

func completedMessage(seq, code, bytes int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":%q,"seq":%d,"exit_code":%d,"output":{"stdout_bytes":%d}}}`,
		testSession, seq, code, bytes)
}

// received returns what awaitCompletion makes of messages, and what the client wrote meanwhile.
func received(t *testing.T, frames ...[]byte) (r *rpc.Completion, written []byte, err error) {
	t.Helper()
	here, there := net.Pipe()
	c := &conn{Conn: here, frames: newFrameReader(here, smallBuffer)}
	done := make(chan []byte)
	go func() {
		for _, f := range frames {
			_, _ = there.Write(f)
		}
		b := make([]byte, 100)
		n, _ := there.Read(b)
		done <- b[:n]
	}()
	r, err = c.awaitCompletion(nil)
	_ = here.Close()
	written = <-done
	_ = there.Close()
	return r, written, err
}

func text(s string) []byte { return serverFrame(opText, s) }

func TestAwaitCompletion(t *testing.T) {
	long := strings.Repeat("x", 70000)
	reply := `{"jsonrpc":"2.0","id":1,"result":{"status":"started"}}`
	r, _, err := received(t, text(reply), text(outputMessage(3, "x")), text(outputMessage(70003, long)), text(completedMessage(70004, 0, 70001)))
	if err != nil || r.Output.StdoutBytes != 70001 {
		t.Error(r, err)
	}
	gap := `{"jsonrpc":"2.0","method":"process.gap","params":{"session_id":"` + testSession + `","seq":9,"lost_bytes":5}}`
	refused := `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`
	for name, frames := range map[string][][]byte{
		"gap":             {text(gap), text(outputMessage(10, "x")), text(completedMessage(11, 0, 8))},
		"missing output":  {text(outputMessage(3, long)), text(completedMessage(5, 0, 2))},
		"repeated output": {text(outputMessage(3, long)), text(outputMessage(3, "x")), text(completedMessage(4, 0, 2))},
		"no output":       {text(completedMessage(4, 0, 2))},
		"exit code":       {text(outputMessage(3, "x")), text(completedMessage(4, 1, 1))},
		"error reply":     {text(refused)},
		"close":           {serverFrame(opClose, "\x03\xe8bye")},
	} {
		if r, _, err := received(t, frames...); err == nil {
			t.Errorf("%s: no error, %+v", name, r)
		}
	}
}

// TestPong checks that a ping is answered: the server paces only clients that answer.
func TestPong(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	c := &conn{Conn: here, frames: newFrameReader(here, smallBuffer)}
	done := make(chan error)
	go func() {
		defer here.Close()
		_, err := c.awaitCompletion(nil)
		done <- err
	}()
	if _, err := there.Write(serverFrame(opPing, "now")); err != nil {
		t.Fatal(err)
	}
	pong := make([]byte, 9)
	if _, err := there.Read(pong); err != nil || string(pong) != "\x8a\x83\x00\x00\x00\x00now" {
		t.Errorf("%q, %v", pong, err)
	}
	if _, err := there.Write(text(completedMessage(3, 0, 0))); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReply(t *testing.T) {
	for text, want := range map[string]struct{ is, fails bool }{
		`{"jsonrpc":"2.0","id":12,"result":{}}`:             {true, false},
		`{"jsonrpc":"2.0","id":12,"error":{"code":1}}`:      {true, true},
		`{"jsonrpc":"2.0","id":null,"error":{"code":1}}`:    {true, true},
		`{"jsonrpc":"2.0","method":"process.started"}`:      {false, false},
		`{"jsonrpc":"2.0","method":"x","params":{"id":1,}}`: {false, false},
		"": {false, false},
	} {
		if is, err := reply([]byte(text)); is != want.is || (err != nil) != want.fails {
			t.Errorf("%s: %v, %v", text, is, err)
		}
	}
}
