//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// timeLine returns a function that writes a line to the only session, which runs `cat`, and adds the time
// until the output is received, in µs.
func (c *conn) timeLine(times *samples) func() error {
	return func() error {
		begin := time.Now()
		if err := c.request(rpc.MethodWrite, map[string]any{"data": "ls -l /some/where\n"}); err != nil {
			return err
		}
		for output, replied := false, false; !output || !replied; {
			m, err := c.next()
			if err != nil {
				return err
			}
			if m.output != 0 {
				output = true
				times.add(time.Since(begin), time.Microsecond)
				continue
			}
			isReply, err := reply(m.text)
			if err != nil {
				return err
			}
			replied = replied || isReply
		}
		return nil
	}
}

// timeStream executes `cat` of a file, and adds the rate in MB/s and the processor time of the server in
// ms/GB. If stream is not set, the output is not sent to anyone. It then removes the session, so that
// the output takes no space on the disk.
func (s spoolServer) timeStream(file textFile, stream bool, rate, cpu *samples) error {
	var record *rpc.Completion
	took, used, err := timed(s.pid, func() (err error) {
		params := map[string]any{"command": []string{"cat", file.path}, "stream": stream}
		if err = s.request(rpc.MethodExecute, params); err == nil && stream {
			record, err = s.awaitCompletion(nil)
		} else if err == nil {
			record, err = s.awaitUnread()
		}
		return err
	})
	if err != nil {
		return err
	}
	if record.Output.StdoutBytes != file.size {
		return fmt.Errorf("%d bytes of output instead of %d", record.Output.StdoutBytes, file.size)
	}
	*rate = append(*rate, float64(file.size)/1e6/took.Seconds())
	*cpu = append(*cpu, used.Seconds()*1e3/(float64(file.size)/1e9))
	return s.call(rpc.MethodForget, rpc.ForgetParams{SessionID: record.SessionID}, nil)
}

// awaitUnread reads up to the completion record of a session whose output this connection does not get.
func (c *conn) awaitUnread() (*rpc.Completion, error) {
	for {
		m, err := c.next()
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(m.text, completedStart) {
			var n struct{ Params rpc.Completion }
			err := json.Unmarshal(m.text, &n)
			return &n.Params, err
		}
		if _, err := reply(m.text); err != nil {
			return nil, err
		}
	}
}
