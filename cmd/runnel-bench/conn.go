//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	bulkBuffer  = 256 << 10 // of a connection that receives a stream
	smallBuffer = 4 << 10   // of others
	headBytes   = 160       // of an output message: it contains the seq
)

// conn is a WebSocket client that does as little as possible, so that the server and not the client
// limits a measurement: it looks at the headers of frames and at the beginning of output. One
// goroutine may call next, and any goroutine send.
type conn struct {
	net.Conn
	frames *frameReader
	text   []byte // of the message that was read last
	id     int    // of the last request
	// params are further ones of the commands which execute and stream start.
	params map[string]any

	mu  sync.Mutex // held during a write
	out []byte     // the frame that is written
}

// message is a message of the server, valid until the next one is read.
type message struct {
	text   []byte // empty for output
	output int64  // seq of a process.output, or 0
}

// dial connects to a server and reads its first message.
func (s *server) dial(buffer int) (*conn, error) {
	return s.dialThrough(buffer, func(c net.Conn) io.Reader { return c })
}

// dialUntil is dial with a connection that undo closes.
func (s *server) dialUntil(undo *cleanup, buffer int) (*conn, error) {
	c, err := s.dial(buffer)
	if err == nil {
		undo.add(c.Close)
	}
	return c, err
}

// dialThrough is dial with a reader that is put around the connection.
func (s *server) dialThrough(buffer int, reader func(net.Conn) io.Reader) (*conn, error) {
	c, err := open(s.address, "/ws", s.token, buffer, reader)
	if err != nil {
		return nil, err
	}
	m, err := c.next()
	if err == nil && !bytes.HasPrefix(m.text, []byte(`{"jsonrpc":"2.0","method":"connected"`)) {
		err = fmt.Errorf("first message of the server: %.100s", m.text)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// open connects to a path of a host, with a reader that is put around the connection. token may be "".
func open(host, path, token string, buffer int, reader func(net.Conn) io.Reader) (*conn, error) {
	nc, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, frames: newFrameReader(reader(nc), buffer)}
	if err := c.upgrade(host, path, token); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

// upgrade makes the opening handshake (RFC 6455 §4.1), with a token if it is not empty.
func (c *conn) upgrade(host, path, token string) error {
	authorization := ""
	if token != "" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: runnel.v1\r\n\r\n",
		path, host, authorization)
	if err != nil {
		return err
	}
	end := []byte("\r\n\r\n")
	var response []byte
	for !bytes.HasSuffix(response, end) {
		var b [1]byte
		if err := c.frames.read(b[:]); err != nil {
			return err
		}
		response = append(response, b[0])
	}
	if !bytes.HasPrefix(response, []byte("HTTP/1.1 101 ")) {
		line, _, _ := bytes.Cut(response, []byte("\r\n"))
		return fmt.Errorf("the server refused the upgrade: %s", line)
	}
	return nil
}

// send sends a text message.
func (c *conn) send(text []byte) error { return c.write(opText, text) }

func (c *conn) write(opcode byte, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendFrame(c.out[:0], opcode, payload)
	_, err := c.Write(c.out)
	return err
}

var (
	replyStart     = []byte(`{"jsonrpc":"2.0","id":`)
	outputStart    = []byte(`{"jsonrpc":"2.0","method":"process.output"`)
	completedStart = []byte(`{"jsonrpc":"2.0","method":"process.completed"`)
	gapStart       = []byte(`{"jsonrpc":"2.0","method":"process.gap"`)
	seqField       = []byte(`,"seq":`)
)

// next reads the next message. It answers pings.
func (c *conn) next() (message, error) {
	head, length, err := c.payload(outputStart)
	switch {
	case err != nil:
		return message{}, err
	case head != nil:
		return c.output(head, length)
	case bytes.HasPrefix(c.text, outputStart):
		seq, err := outputSeq(c.text)
		return message{output: seq}, err
	}
	return message{text: c.text}, nil
}

// payload reads the next text message into c.text. It answers pings. If the message is long and begins
// with prefix, it only returns the head and the length of the message, which the caller consumes.
func (c *conn) payload(prefix []byte) (head []byte, length int, err error) {
	for {
		opcode, length, err := c.frames.header()
		switch {
		case err != nil:
			return nil, 0, err
		case opcode == opText && length > headBytes:
			head, err := c.frames.peek(headBytes)
			if err != nil || bytes.HasPrefix(head, prefix) {
				return head, length, err
			}
		}
		if cap(c.text) < length {
			c.text = make([]byte, length)
		}
		c.text = c.text[:length]
		if err := c.frames.read(c.text); err != nil {
			return nil, 0, err
		}
		switch opcode {
		case opPing:
			if err := c.write(opPong, c.text); err != nil {
				return nil, 0, err
			}
		case opText:
			return nil, length, nil
		case opClose:
			return nil, 0, fmt.Errorf("the server closed the connection: %q", c.text)
		}
	}
}

// output skips the rest of a process.output.
func (c *conn) output(head []byte, length int) (message, error) {
	seq, err := outputSeq(head)
	if err != nil {
		return message{}, err
	}
	return message{output: seq}, c.frames.skip(length)
}

// outputSeq returns the seq of a notification, of which head is the beginning.
func outputSeq(head []byte) (int64, error) {
	_, rest, _ := bytes.Cut(head, seqField)
	end := bytes.IndexAny(rest, ",}")
	if end < 0 {
		return 0, fmt.Errorf("no seq in the notification %.100q", head)
	}
	return strconv.ParseInt(string(rest[:end]), 10, 64)
}

// request sends a request, whose id is c.id.
func (c *conn) request(method string, params any) error {
	c.id++
	text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	if err != nil {
		return err
	}
	return c.send(text)
}

// call sends a request, waits for its reply, and decodes the result into result if that is not nil.
func (c *conn) call(method string, params, result any) error {
	if err := c.request(method, params); err != nil {
		return err
	}
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		isReply, err := reply(m.text)
		if err != nil {
			return err
		}
		if isReply && result != nil {
			return json.Unmarshal(m.text, &struct{ Result any }{result})
		}
		if isReply {
			return nil
		}
	}
}

// reply reports whether a message is the reply to a request with a number as id. An error reply is
// an error.
func reply(text []byte) (is bool, err error) {
	rest, is := bytes.CutPrefix(text, replyStart)
	if _, rest, _ = bytes.Cut(rest, []byte(",")); is && !bytes.HasPrefix(rest, []byte(`"result":`)) {
		err = fmt.Errorf("reply %.500s", text)
	}
	return is, err
}

// start executes a command and returns the id of its session when it has started.
func (c *conn) start(argv ...string) (string, error) {
	var r rpc.ExecuteResult
	err := c.call(rpc.MethodExecute, map[string]any{"command": argv}, &r)
	return r.SessionID, err
}

// execute executes a command, and calls first, if it is not nil, at its first output. It returns
// the completion record. It fails if output was lost, or if the command failed.
func (c *conn) execute(first func(), argv ...string) (*rpc.Completion, error) {
	params := map[string]any{"command": argv}
	maps.Copy(params, c.params)
	if err := c.request(rpc.MethodExecute, params); err != nil {
		return nil, err
	}
	return c.awaitCompletion(first)
}

// drain reads until the connection is closed, so that pings are answered.
func (c *conn) drain() {
	for {
		if _, err := c.next(); err != nil {
			return
		}
	}
}

// awaitCompletion reads up to the completion record of the only session.
func (c *conn) awaitCompletion(first func()) (*rpc.Completion, error) {
	var last int64
	for {
		m, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case m.output != 0 && m.output <= last:
			return nil, fmt.Errorf("output %d after %d", m.output, last)
		case m.output != 0:
			if last == 0 && first != nil {
				first()
			}
			last = m.output
		case bytes.HasPrefix(m.text, completedStart):
			return completion(m.text, last)
		case bytes.HasPrefix(m.text, gapStart):
			return nil, fmt.Errorf("output was lost: %s", m.text)
		default:
			if _, err := reply(m.text); err != nil {
				return nil, err
			}
		}
	}
}

// completion decodes and checks a completion record. The last output before it had the seq last.
func completion(text []byte, last int64) (*rpc.Completion, error) {
	var m struct{ Params rpc.Completion }
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	r := &m.Params
	if r.ExitCode == nil || *r.ExitCode != 0 || r.Output.LostBytes != 0 || r.Output.DroppedBytes != 0 {
		return nil, fmt.Errorf("the command failed, or output was lost: %s", text)
	}
	if last != 0 && r.Seq != last+1 {
		return nil, fmt.Errorf("the output ends at %d, the record is %d", last, r.Seq)
	}
	if r.Output.StdoutBytes > 0 && last == 0 {
		return nil, errors.New("no output was received")
	}
	return r, nil
}
