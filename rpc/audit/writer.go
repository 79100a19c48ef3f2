package audit

import (
	"bytes"
	"time"
)

// batchDelay is how long the writer waits for further lines before it writes those that nobody waits
// for. To wake it for each line would take several percent of the time of a short command.
const batchDelay = 5 * time.Millisecond

// run is the goroutine that writes. It ends when the log is closed and the queue is empty, or an
// attempt to write has failed after that.
func (l *Log) run() {
	defer close(l.done)
	var buffer []byte
	for range l.wake {
		if l.idle() {
			continue
		}
		l.collect()
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

// idle reports whether there is nothing to do: the token is left of what is done already.
func (l *Log) idle() (idle bool) {
	l.update(func(q *queue) { idle = q.unwritten() == 0 && len(q.reopen) == 0 && !q.closed })
	return idle
}

// collect waits for further lines, unless somebody waits for those that are queued.
func (l *Log) collect() {
	delay := time.NewTimer(batchDelay)
	defer delay.Stop()
	select {
	case <-l.urgent:
	case <-delay.C:
	}
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
