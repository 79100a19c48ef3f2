package server

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/runnel-rpc/runnel/rpc/audit"
)

// The bounds of lines of the audit log that clients can cause at any rate.
const (
	// repeatPause is the time in which requests of one kind are merged into one line.
	repeatPause = time.Second
	// repeatRate is how many such lines a principal causes per second, and maxRepeats how many at once.
	// They apply to each repeatClass. Beyond them, requests are counted without what they name.
	repeatRate = 100
	maxRepeats = 1024
	// connectionLines is how many opened, and closed, connections of one kind have a line of their own
	// per second.
	connectionLines = 20
)

// repeats merges lines of the audit log that clients can cause at any rate: all of connections and
// requests, except those of executes that are carried out. The first one of its kind is written at
// once, as a whole. Those that follow within repeatPause are counted, and their number is written at
// its end, so that each request is in a line. The methods may be called concurrently.
type repeats struct {
	log *audit.Log

	mu     sync.Mutex
	groups map[repeatGroup]*repeatedLines
	timer  flushTimer
}

// repeatGroup is what has a bound of its own: no principal, and no requests of another class, take
// away the lines of others.
type repeatGroup struct {
	principal string
	class     repeatClass
}

type repeatClass uint8

const (
	ofOwn     repeatClass = iota // the principal's connections, and requests that name its sessions
	ofOthers                     // uses of the right of an administrator or observer
	ofRefused                    // requests that were refused, or have failed
)

// repeatedLines are the lines of a group. They are removed when there are none, and the limiter is as
// new.
type repeatedLines struct {
	limiter *rate.Limiter
	kinds   map[repeatKey]*repeated
}

// repeated counts the requests of one kind. It is removed when nothing was counted for repeatPause.
type repeated struct {
	lines  int // in this repeatPause
	newest auditedRequest
	count  int // since the last line
}

func newRepeats(l *audit.Log) *repeats {
	t := &repeats{log: l, groups: make(map[repeatGroup]*repeatedLines)}
	t.timer = flushTimer{flush: t.flush, pause: repeatPause}
	return t
}

// merge counts a request. It returns true if it is not merged with others: the caller writes its line.
func (t *repeats) merge(key repeatKey, x auditedRequest) (whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer.closed {
		return true
	}
	g := t.group(repeatGroup{x.caller.Principal, x.class()})
	e := g.kinds[key]
	if e == nil || e.count == 0 { // there will be a line more
		switch may := g.limiter.Allow(); {
		case !may:
			key, x = x.beyond()
			e = g.kinds[key]
		case e == nil || e.lines < key.wholeLines():
			whole = true
		}
	}
	if e == nil {
		e = &repeated{}
		g.kinds[key] = e
	}
	if whole {
		e.lines++
	} else {
		e.newest, e.count = x, e.count+1
	}
	return whole
}

// group returns the lines of a group. t.mu is held.
func (t *repeats) group(of repeatGroup) *repeatedLines {
	g := t.groups[of]
	if g == nil {
		g = &repeatedLines{limiter: rate.NewLimiter(repeatRate, maxRepeats), kinds: make(map[repeatKey]*repeated)}
		t.groups[of] = g
		t.timer.added()
	}
	return g
}

// flush writes what was counted, and removes the elements that are not needed any more.
func (t *repeats) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for of, g := range t.groups {
		g.flush(t.log)
		if len(g.kinds) == 0 && g.limiter.Tokens() >= maxRepeats {
			delete(t.groups, of)
		}
	}
	t.timer.flushed(len(t.groups))
}

// flush writes what was counted, which does not wait.
func (g *repeatedLines) flush(l *audit.Log) {
	for key, e := range g.kinds {
		if e.count > 0 {
			l.Write(e.newest.line(e.count))
		}
		if e.count > 0 && !key.beyond {
			*e = repeated{lines: 1}
		} else {
			delete(g.kinds, key)
		}
	}
}

// close writes what was not written yet. No timer is started afterwards.
func (t *repeats) close() {
	t.mu.Lock()
	t.timer.close()
	t.mu.Unlock()
	t.flush()
}
