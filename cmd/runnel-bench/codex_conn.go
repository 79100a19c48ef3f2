//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// codexConn is a client of the protocol of Codex's exec-server, which does as little as possible. Its
// methods are called by one goroutine.
type codexConn struct {
	*conn
	processes int // that were started
}

// dialCodex connects to a path of a host, with a reader that is put around the connection, and makes a
// session. undo closes the connection.
func dialCodex(undo *cleanup, host, path string, buffer int, reader func(net.Conn) io.Reader) (*codexConn, error) {
	nc, err := open(host, path, "", buffer, reader)
	if err != nil {
		return nil, err
	}
	undo.add(nc.Close)
	c := &codexConn{conn: nc}
	return c, c.initialize()
}

func (c *codexConn) initialize() error {
	if err := c.request("initialize", map[string]any{"clientName": "runnel-bench", "resumeSessionId": nil}); err != nil {
		return err
	}
	if _, err := c.next(); err != nil {
		return err
	}
	return c.send([]byte(`{"method":"initialized","params":{}}`))
}

// request sends a request, whose id is c.id.
func (c *codexConn) request(method string, params any) error {
	c.id++
	text, err := json.Marshal(map[string]any{"id": c.id, "method": method, "params": params})
	if err != nil {
		return err
	}
	return c.send(text)
}

// execute starts a command, receives its output until process/closed, and returns the number of bytes.
// It fails if a notification is missing, or if the command failed.
func (c *codexConn) execute(argv ...string) (output int64, err error) {
	c.processes++
	err = c.request("process/start", map[string]any{
		"processId": fmt.Sprint("p", c.processes), "argv": argv, "cwd": "file:///",
		"env": map[string]string{"PATH": os.Getenv("PATH")}, "tty": false, "arg0": nil,
	})
	if err != nil {
		return 0, err
	}
	return c.awaitClosed()
}

var (
	codexOutputStart = []byte(`{"method":"process/output"`)
	codexExitedStart = []byte(`{"method":"process/exited"`)
	codexClosedStart = []byte(`{"method":"process/closed"`)
	chunkField       = []byte(`,"chunk":"`)
)

// codexOutputEnd is as long as the end of a process/output from the padding of its base64 on.
const codexOutputEnd = len(`=="}}`)

// codexMessage is a message of the server, valid until the next one is read.
type codexMessage struct {
	text   []byte // empty for output
	seq    int64  // of a notification, or 0
	output int64  // bytes
}

// next reads the next message. It answers pings. Output is counted, and not decoded.
func (c *codexConn) next() (m codexMessage, err error) {
	head, length, err := c.payload(codexOutputStart)
	switch {
	case err != nil:
		return m, err
	case head != nil:
		return c.output(head, length)
	case bytes.HasPrefix(c.text, codexOutputStart):
		return codexOutput(c.text, len(c.text), c.text)
	case bytes.HasPrefix(c.text, []byte(`{"method":`)):
		m.seq, err = outputSeq(c.text)
	default:
		err = codexReply(c.text)
	}
	m.text = c.text
	return m, err
}

// output skips the rest of a process/output.
func (c *codexConn) output(head []byte, length int) (m codexMessage, err error) {
	c.text = append(c.text[:0], head...) // which the next read overwrites
	if err := c.frames.skip(length - codexOutputEnd); err != nil {
		return m, err
	}
	var end [codexOutputEnd]byte
	if err := c.frames.read(end[:]); err != nil {
		return m, err
	}
	return codexOutput(c.text, length, end[:])
}

// codexOutput returns what is known of a process/output from its beginning, its length and its end.
func codexOutput(head []byte, length int, end []byte) (m codexMessage, err error) {
	at := bytes.Index(head, chunkField)
	if at < 0 || !bytes.HasSuffix(end, []byte(`"}}`)) {
		return m, fmt.Errorf("no chunk in the notification %.100q", head)
	}
	encoded := length - at - len(chunkField) - len(`"}}`)
	padding := bytes.Count(end[len(end)-codexOutputEnd:], []byte("="))
	m.output = int64(encoded/4*3 - padding)
	m.seq, err = outputSeq(head)
	return m, err
}

// codexReply returns an error for a message that is not a reply with a result.
func codexReply(text []byte) error {
	if bytes.HasPrefix(text, []byte(`{"id":`)) && bytes.Contains(text, []byte(`,"result":`)) {
		return nil
	}
	return fmt.Errorf("reply %.500s", text)
}

// awaitClosed reads up to the process/closed of the only process that runs.
func (c *codexConn) awaitClosed() (output int64, err error) {
	exited := false
	for last := int64(0); ; {
		m, err := c.next()
		switch {
		case err != nil:
			return output, err
		case m.seq == 0: // a reply
			continue
		case m.seq != last+1:
			return output, fmt.Errorf("the notification %d after %d", m.seq, last)
		}
		last = m.seq
		output += m.output
		switch {
		case bytes.HasPrefix(m.text, codexExitedStart):
			if exited = bytes.Contains(m.text, []byte(`,"exitCode":0,`)); !exited {
				return output, fmt.Errorf("the command failed: %s", m.text)
			}
		case bytes.HasPrefix(m.text, codexClosedStart):
			if !exited {
				return output, errors.New("process/closed before process/exited")
			}
			return output, nil
		}
	}
}
