package egress

import (
	"net/netip"
	"sync"
)

// record counts what a proxy permits and refuses, and delivers events.
type record struct {
	event func(Event) // may be nil

	mu       sync.Mutex
	entries  map[destination]*Event
	order    []*Event
	report   Report // without Allowed and Refused
	allowed  int
	waiting  []Event // at most two for each entry
	finished bool
	wake     chan struct{} // has a value if there is something for deliver
	done     chan struct{}
}

// destination is what entries are told apart by.
type destination struct {
	host   string
	port   uint16
	addr   netip.Addr // of permitted ones
	reason Reason
}

func newRecord(event func(Event)) *record {
	r := &record{
		event: event, entries: map[destination]*Event{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go r.deliver()
	return r
}

// deliver calls the event function, one call at a time, until the record is finished.
func (r *record) deliver() {
	defer close(r.done)
	for range r.wake {
		r.mu.Lock()
		waiting, finished := r.waiting, r.finished
		r.waiting = nil
		r.mu.Unlock()
		for _, e := range waiting {
			if r.event != nil {
				r.event(e)
			}
		}
		if finished {
			return
		}
	}
}

// refused counts an attempt that was refused.
func (r *record) refused(e *refusal) {
	d := destination{host: e.target.host, port: e.target.port, reason: e.reason}
	r.count(d, e.addr, Event{Count: 1})
}

// failed counts a connection that was permitted and could not be made.
func (r *record) failed(t target) {
	r.count(destination{host: t.host, port: t.port}, netip.Addr{}, Event{Count: 1, Failed: 1})
}

// connected counts a connection.
func (r *record) connected(t target, addr netip.Addr) {
	r.count(destination{host: t.host, port: t.port, addr: addr}, addr, Event{Count: 1})
}

// disconnected adds what a connection has transferred.
func (r *record) disconnected(t target, addr netip.Addr, up, down int64) {
	r.count(destination{host: t.host, port: t.port, addr: addr}, addr, Event{Up: up, Down: down})
}

// count adds the numbers of an event to those of a destination.
func (r *record) count(d destination, addr netip.Addr, n Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Up += n.Up
	r.report.Down += n.Down
	e := r.entries[d]
	if e == nil {
		if !r.mayAdd(d) {
			if d.reason == "" {
				r.report.MoreAllowed += n.Count
			} else {
				r.report.MoreRefused += n.Count
			}
			return
		}
		e = &Event{Host: d.host, Port: d.port, Address: addr, Reason: d.reason}
		r.entries[d] = e
		r.order = append(r.order, e)
		defer func() { r.queue(*e) }()
	}
	e.Count += n.Count
	e.Failed += n.Failed
	e.Up += n.Up
	e.Down += n.Down
}

// mayAdd reports whether there is room for one more destination, and counts it.
func (r *record) mayAdd(d destination) bool {
	if d.reason != "" {
		return len(r.order)-r.allowed < maxRefused
	}
	if r.allowed == maxAllowed {
		return false
	}
	r.allowed++
	return true
}

// queue hands an event to deliver. It is called under the lock.
func (r *record) queue(e Event) {
	r.waiting = append(r.waiting, e)
	r.wakeDeliver()
}

func (r *record) wakeDeliver() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// refuseExcess counts a connection that was refused because there are too many.
func (r *record) refuseExcess() {
	r.mu.Lock()
	r.report.Excess++
	r.mu.Unlock()
}

// finish delivers the last event about each destination, and waits for that.
func (r *record) finish() {
	r.mu.Lock()
	r.finished = true
	for _, e := range r.order {
		e.Final = true
		r.waiting = append(r.waiting, *e)
	}
	r.wakeDeliver()
	r.mu.Unlock()
	<-r.done
}

// snapshot returns the numbers so far.
func (r *record) snapshot() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	for _, e := range r.order {
		if e.Allowed() {
			report.Allowed = append(report.Allowed, *e)
		} else {
			report.Refused = append(report.Refused, *e)
		}
	}
	return report
}
