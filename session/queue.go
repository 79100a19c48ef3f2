package session

import (
	"cmp"
	"container/list"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
)

// This file is the queue of sessions that wait for a slot. A session has a place from Reserve on, and
// waits from Begin on: Begin → joinQueue → giveSlots → begin. It leaves the queue without
// a slot by leaveQueue: when its end is requested, or Spec.QueueTimeout is over. Registry.mu decides
// which of these is first. Whose turn it is, is in queue_order.go.

// queuedBytes is how many bytes of params a session in the queue may have for one place. So
// Options.MaxQueued bounds the memory of the queue too.
const queuedBytes = 64 << 10

// queue is the sessions that wait for a slot. The registry's lock protects it.
type queue struct {
	max    int
	places *quota.Pool // also of sessions for which Begin was not called yet
	slots  *quota.Pool // the registry's
	owners map[string]*ownQueue
	order  [quota.Classes]ownHeap
	turns  int64       // that were given to owners so far
	retry  *time.Timer // gives slots when the rate of starts permits it; nil if none waits for that
}

// place is the place of one session in the queue.
type place struct {
	s        *Session
	owner    string
	cost     int           // in places of queue.places
	why      error         // it had no slot when it was made
	waiting  *list.Element // of an ownQueue; nil while the session is not in it
	noted    bool          // the log says that the session waits: it may have a slot
	released bool
	timeout  *time.Timer // nil without a limit
}

func newQueue(most int, slots *quota.Pool) *queue {
	return &queue{max: most, places: quota.NewPool(most, quota.Shares{}), slots: slots, owners: make(map[string]*ownQueue)}
}

// reserve returns a place for a session that has no slot, or nil if it does not wait or the queue is
// full.
func (q *queue) reserve(spec *Spec, why error) *place {
	if spec.QueueTimeout == 0 {
		return nil
	}
	cost := int(min(1+spec.paramBytes()/queuedBytes, int64(q.max)))
	if cost == 0 || q.places.TakeAll(spec.Owner, cost) != nil {
		return nil
	}
	return &place{owner: spec.Owner, cost: cost, why: why}
}

// paramBytes returns about how many bytes the session keeps until it has begun.
func (s *Spec) paramBytes() int64 {
	const perString = 16
	n := s.Weight
	for _, list := range [][]string{s.Program.Argv, s.Program.Env} {
		for _, text := range list {
			n += int64(len(text)) + perString
		}
	}
	return n
}

// release gives up a place, also of a session that waits. It has an effect once.
func (q *queue) release(p *place) {
	if p.released {
		return
	}
	p.released = true
	q.places.ReleaseAll(p.owner, p.cost)
	if p.waiting == nil {
		return
	}
	if p.timeout != nil {
		p.timeout.Stop()
	}
	o := q.owners[p.owner]
	o.waiting.Remove(p.waiting)
	p.waiting = nil
	if o.waiting.Len() == 0 {
		q.withdraw(o)
		delete(q.owners, p.owner)
	}
	if len(q.owners) == 0 {
		q.stopRetry()
	}
}

// add appends a place to those of its owner, and returns its position, from 1.
func (q *queue) add(p *place) (position int) {
	o := q.owners[p.owner]
	if o == nil {
		o = &ownQueue{owner: p.owner, index: -1}
		q.owners[p.owner] = o
		q.endTurn(o)
	}
	p.waiting = o.waiting.PushBack(p)
	return o.waiting.Len()
}

// sessions returns all that wait.
func (q *queue) sessions() (all []*Session) {
	for _, o := range q.owners {
		for e := o.waiting.Front(); e != nil; e = e.Next() {
			all = append(all, e.Value.(*place).s)
		}
	}
	return all
}

func (q *queue) stopRetry() {
	if q.retry != nil {
		q.retry.Stop()
		q.retry = nil
	}
}

// giveSlots gives free slots to sessions that wait, in the order of queue.allot. It is called with the
// registry's lock held, whenever a session that waits may have become able to take one: a slot is
// released, the quotas change, the rate of starts permits it, or a session joins. Each start begins in a
// goroutine, since a fork takes time.
func (r *Registry) giveSlots(now time.Time) {
	if len(r.queue.owners) == 0 || r.draining {
		return
	}
	r.queue.stopRetry()
	given, retry := r.queue.allot(func(owner string) error { return r.takeSlot(owner, now) })
	for _, p := range given {
		p.s.place = nil
		r.wg.Go(p.s.begin)
	}
	if retry > 0 {
		r.queue.retry = time.AfterFunc(retry, r.retryStarts)
	}
}

// retryStarts gives slots when the rate of starts may permit it.
func (r *Registry) retryStarts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.giveSlots(time.Now())
}

// joinQueue lets a session wait that has a place. The note that it waits is in the log before the
// session can be given a slot or leave the queue; the registry's lock is not held while it is appended.
// So the session gets its position first. Those behind it are not given a slot before it has joined.
func (s *Session) joinQueue() {
	s.log.AppendNote(Waiting{s.reg.enqueue(s)})
	if err := s.reg.join(s); err != nil {
		s.fail(err, true)
		return
	}
	s.update(func(*sessionStatus) {}) // leaves the queue if the end was requested before
}

// enqueue appends a session to those of its owner that wait, and returns its position, from 1.
func (r *Registry) enqueue(s *Session) (position int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.add(s.place)
}

// join lets a session wait, unless it is given a slot at once.
func (r *Registry) join(s *Session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return ErrShuttingDown
	}
	p := s.place
	p.noted = true
	if r.giveSlots(time.Now()); s.place == nil {
		return nil
	}
	if d := s.spec.QueueTimeout; d > 0 {
		p.timeout = time.AfterFunc(d, func() { s.leaveQueue(nil) })
	}
	return nil
}

// leaveQueue fails a session that waits, unless it is given a slot meanwhile. A nil why is the reason
// that it has none.
func (s *Session) leaveQueue(why error) {
	left, reason := s.reg.leave(s)
	if !left {
		return
	}
	if why == nil {
		why = reason
	}
	s.fail(why, true)
}

// leave reports whether the session was waiting, and why it has no slot. It does not wait afterwards.
func (r *Registry) leave(s *Session) (left bool, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := s.place
	if p == nil || p.waiting == nil || !p.noted {
		return false, nil
	}
	r.queue.release(p)
	return true, cmp.Or(r.slots.Check(p.owner), r.starts.Check(p.owner, time.Now()), p.why)
}
