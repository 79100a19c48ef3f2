package session

import (
	"cmp"
	"container/heap"
	"container/list"
	"errors"
	"time"

	"github.com/runnel-rpc/runnel/session/quota"
)

// This file is the order in which the owners of sessions that wait are given slots. Nothing in it may
// take time in proportion to the number of owners for each slot, since the registry's lock is held.

// ownQueue is the waiting sessions of one owner. It is not empty.
type ownQueue struct {
	owner   string
	waiting list.List // of *place, oldest first
	used    int       // slots of the owner
	turn    int64     // the number of its last turn: when it was given a slot, or began to wait
	class   quota.Class
	index   int // in queue.order[class]; -1 if it is not there
}

func (o *ownQueue) first() *place { return o.waiting.Front().Value.(*place) }

// before reports whether o is given a slot before other, if both may have it.
func (o *ownQueue) before(other *ownQueue) bool {
	return cmp.Or(cmp.Compare(o.used, other.used), cmp.Compare(o.turn, other.turn)) < 0
}

// ownHeap is a heap of owners; the next one is first.
type ownHeap []*ownQueue

func (h ownHeap) Len() int           { return len(h) }
func (h ownHeap) Less(i, j int) bool { return h[i].before(h[j]) }

func (h ownHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *ownHeap) Push(x any) {
	o := x.(*ownQueue)
	o.index = len(*h)
	*h = append(*h, o)
}

func (h *ownHeap) Pop() any {
	n := len(*h) - 1
	o := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	o.index = -1
	return o
}

// reorder puts an owner where it belongs, after its slots or its turn have changed.
func (q *queue) reorder(o *ownQueue) {
	q.withdraw(o)
	o.used, o.class = q.slots.UsedBy(o.owner), q.slots.Class(o.owner)
	heap.Push(&q.order[o.class], o)
}

// reorderAll is reorder for all owners, after the slots were divided anew.
func (q *queue) reorderAll() {
	for _, o := range q.owners {
		q.reorder(o)
	}
}

// withdraw takes an owner out of the order.
func (q *queue) withdraw(o *ownQueue) {
	if o.index >= 0 {
		heap.Remove(&q.order[o.class], o.index)
	}
}

// slotsChanged is called when an owner has taken or released a slot.
func (q *queue) slotsChanged(owner string) {
	if o := q.owners[owner]; o != nil {
		q.reorder(o)
	}
}

// endTurn makes an owner the last one of those with equally many slots.
func (q *queue) endTurn(o *ownQueue) {
	q.turns++
	o.turn = q.turns
	q.reorder(o)
}

// allot takes slots for sessions that wait, until none may have one: each for the oldest session of the
// owner with the fewest slots, of those that may have one; of several, of the owner whose turn is longest
// ago. take takes a slot, and calls slotsChanged. allot returns the places of the sessions, which are
// released, and after which time the rate of starts may permit another one; 0 is never.
//
// An owner that may not have a slot does not become able to while others are given some.
func (q *queue) allot(take func(owner string) error) (given []*place, retry time.Duration) {
	var closed [quota.Classes]bool // classes of which no owner may have one
	var passed []*ownQueue         // the same of these
	for o := q.next(&closed); o != nil; o = q.next(&closed) {
		p := o.first()
		if !p.noted { // join will call allot again
			q.withdraw(o)
			passed = append(passed, o)
			continue
		}
		err := take(o.owner)
		if err == nil {
			q.endTurn(o)
			q.release(p)
			given = append(given, p)
			continue
		}
		scope, after := refusal(err)
		if after > 0 && (retry == 0 || after < retry) {
			retry = after
		}
		switch {
		case scope == quota.Server && (o.class == quota.Unknown || o.class == quota.Known && after == 0):
			closed[o.class] = true
		case scope == quota.Principal && after == 0:
			q.withdraw(o) // until slotsChanged, or reorderAll
		default:
			q.withdraw(o)
			passed = append(passed, o)
		}
	}
	for _, o := range passed {
		q.reorder(o)
	}
	return given, retry
}

// next returns the next owner of the classes that are not closed, or nil.
func (q *queue) next(closed *[quota.Classes]bool) (next *ownQueue) {
	for class, owners := range q.order {
		if len(owners) > 0 && !closed[class] && (next == nil || owners[0].before(next)) {
			next = owners[0]
		}
	}
	return next
}

// refusal returns whose bound an owner has reached, and if it is one of the rate of starts, after which
// time a start may be possible.
func refusal(err error) (scope quota.Scope, retry time.Duration) {
	if rate := (*quota.RateError)(nil); errors.As(err, &rate) {
		return rate.Scope, rate.RetryAfter
	}
	if limit := (*quota.LimitError)(nil); errors.As(err, &limit) {
		scope = limit.Scope
	}
	return scope, 0
}
