package audit

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// syslogSockets are the sockets of the local syslog daemon, of Linux and of Darwin.
var syslogSockets = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

const (
	// syslogPriority is LOG_AUTHPRIV and LOG_INFO (syslog(3)).
	syslogPriority = 10<<3 | 6
	// syslogTimeout is how long the daemon may take to accept a message.
	syslogTimeout = time.Second
)

// syslog is the local syslog daemon. Each line is a message in the form that syslog(3) sends, which
// RFC 3164 describes.
type syslog struct {
	sockets []string
	conn    net.Conn // nil after an error
	stream  bool     // messages are ended by a newline
	b       []byte
}

func openSyslog(sockets []string) (*syslog, error) {
	t := &syslog{sockets: sockets}
	return t, t.connect()
}

func (t *syslog) connect() error {
	var all error
	for _, socket := range t.sockets {
		for _, network := range []string{"unixgram", "unix"} {
			conn, err := net.DialTimeout(network, socket, syslogTimeout)
			if err == nil {
				t.conn, t.stream = conn, network == "unix"
				return nil
			}
			all = errors.Join(all, err)
		}
	}
	return fmt.Errorf("no syslog daemon: %w", all)
}

// write implements target. After an error it connects again at the next call.
func (t *syslog) write(lines []byte) (n int, err error) {
	if t.conn == nil {
		if err := t.connect(); err != nil {
			return 0, err
		}
	}
	for n < len(lines) {
		end := n + bytes.IndexByte(lines[n:], '\n') + 1
		if err := t.send(lines[n : end-1]); err != nil {
			t.close()
			t.conn = nil
			return n, err
		}
		n = end
	}
	return n, nil
}

func (t *syslog) send(line []byte) error {
	t.b = fmt.Appendf(t.b[:0], "<%d>%s runnel[%d]: ", syslogPriority, time.Now().Format(time.Stamp), os.Getpid())
	t.b = append(t.b, line...)
	if t.stream {
		t.b = append(t.b, '\n')
	}
	_ = t.conn.SetWriteDeadline(time.Now().Add(syslogTimeout))
	_, err := t.conn.Write(t.b)
	return err
}

func (t *syslog) reopen() error {
	t.close()
	t.conn = nil
	return t.connect()
}

func (t *syslog) close() {
	if t.conn != nil {
		_ = t.conn.Close()
	}
}
