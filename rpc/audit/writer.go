package audit

import (
	"bytes"
	"time"
)

// run is the goroutine that writes. It ends when the log is closed and the queue is empty, or an
// attempt to write has failed after that.
func (l *Log) run() {
	defer close(l.done)
	var buffer []byte
	for range l.wake {
		l.reopenTarget()
		var closed bool
		l.update(func(q *queue) { buffer, closed = q.take(l, buffer), q.closed })
		if !l.writeAll(buffer) || closed {
			break
		}
		if cap(buffer) > keptBuffer {
			buffer = nil
		}
	}
	l.target.close()
}

// writeAll writes lines, and tries again until it succeeds. It returns false if the log was closed
// meanwhile.
func (l *Log) writeAll(lines []byte) bool {
	failed := false
	for len(lines) > 0 {
		n, err := l.target.write(lines)
		var closed bool
		l.update(func(q *queue) {
			q.wrote(n, int64(bytes.Count(lines[:n], []byte{'\n'})), err)
			closed = q.closed
		})
		switch lines = lines[n:]; {
		case err == nil && failed:
			l.o.Log.Warn().Msg("the audit log is written again")
		case err == nil:
		case closed:
			return false
		case !failed:
			failed = true
			l.o.Log.Error().Err(err).Msg("the audit log cannot be written")
		}
		if err != nil {
			time.Sleep(retryDelay)
			l.reopenTarget()
		}
	}
	return true
}

// reopenTarget carries out the requests of Reopen.
func (l *Log) reopenTarget() {
	var requests []chan error
	l.update(func(q *queue) { requests, q.reopen = q.reopen, nil })
	if len(requests) == 0 {
		return
	}
	err := l.target.reopen()
	for _, r := range requests {
		r <- err
	}
}
