package session

import (
	"container/list"
	"iter"
	"maps"
	"slices"
	"time"
)

// maxRetainedBytes is how many bytes the commands and labels of ended sessions may take together.
// The newest one is kept regardless.
const maxRetainedBytes = 64 << 20

// retained is an ended session, or one that has waited for a slot and was not started.
type retained struct {
	s         *Session
	until     time.Time
	all       *list.Element // in Registry.ended
	ofOwner   *list.Element // in owner.ended
	evictable *list.Element // in owner.evictable
}

// retain keeps a session whose record is about to be made for a while, and releases its slot. It
// must be called without the session's lock.
func (r *Registry) retain(s *Session) {
	releaseBudget(r.addRetained(s))
	r.evictIfWaiting()
}

// addRetained returns the sessions that are no longer kept, which may include s.
func (r *Registry) addRetained(s *Session) (removed []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.releaseSlot(s)
	r.wg.Done()
	return r.keep(s)
}

// releaseFailed releases the slot, or the place in the queue, of a session that could not be started,
// and removes the session, or retains it if keep is set.
func (r *Registry) releaseFailed(s *Session, keep bool) {
	releaseBudget(r.addFailed(s, keep))
}

// addFailed returns the sessions that are no longer kept, which may include s.
func (r *Registry) addFailed(s *Session, keep bool) (removed []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.place != nil {
		r.queue.release(s.place)
	} else {
		r.releaseSlot(s)
	}
	if !keep {
		r.remove(s)
		return []*Session{s}
	}
	return r.keep(s)
}

// keep adds a session to the retained ones, and returns those that are no longer kept.
func (r *Registry) keep(s *Session) (removed []*Session) {
	if r.closed || r.o.MaxRetained <= 0 || r.o.Retain <= 0 {
		r.remove(s)
		return []*Session{s}
	}
	o := r.owners[s.spec.Owner]
	x := &retained{s: s, until: time.Now().Add(r.o.Retain), evictable: o.evictable.PushBack(s)}
	x.all, x.ofOwner = r.ended.PushBack(x), o.ended.PushBack(x)
	s.kept = x
	o.weight += s.spec.Weight
	r.weight += s.spec.Weight
	for x := r.surplus(s, o); x != nil; x = r.surplus(s, o) {
		removed = append(removed, r.removeRetained(x))
	}
	if r.expiry == nil {
		r.expiry = time.AfterFunc(r.o.Retain, r.expire)
	}
	return removed
}

// surplus returns an ended session that is one too many since s of the owner o was added, or nil. It
// is the oldest one of the owner that has most.
func (r *Registry) surplus(s *Session, o *owner) *retained {
	if limit := r.quotas.Owners[o.name].MaxRetained; limit != nil && o.ended.Len() > *limit {
		return o.oldest()
	}
	if limit := r.quotas.Groups[r.groupOf[o.name]].Quotas.MaxRetained; limit != nil {
		if members := r.membersOf(r.groupOf[o.name]); count(members) > *limit {
			return most(o, slices.Values(members), (*owner).count).oldest()
		}
	}
	if r.ended.Len() > r.o.MaxRetained {
		return most(o, maps.Values(r.owners), (*owner).count).oldest()
	}
	if r.weight > maxRetainedBytes {
		x := most(o, maps.Values(r.owners), func(o *owner) int64 { return o.weight }).oldest()
		if x.s != s {
			return x
		}
	}
	return nil
}

// membersOf returns the owners in a group that have sessions.
func (r *Registry) membersOf(group string) (members []*owner) {
	for _, name := range r.quotas.Groups[group].Members {
		if o := r.owners[name]; o != nil {
			members = append(members, o)
		}
	}
	return members
}

// count returns how many ended sessions owners have.
func count(all []*owner) (n int) {
	for _, o := range all {
		n += o.ended.Len()
	}
	return n
}

func (o *owner) count() int64 { return int64(o.ended.Len()) }

// oldest returns the ended session of the owner that has been kept longest.
func (o *owner) oldest() *retained {
	if e := o.ended.Front(); e != nil {
		return e.Value.(*retained)
	}
	return nil
}

// most returns the owner that has most of something: if several have, first if it is one of them, else
// the one whose ended session has been kept longest.
func most(first *owner, all iter.Seq[*owner], of func(*owner) int64) *owner {
	found, n := first, of(first)
	for o := range all {
		if m := of(o); m > n || m == n && found != first && o.oldest().until.Before(found.oldest().until) {
			found, n = o, m
		}
	}
	return found
}

// releaseBudget takes the logs of removed sessions out of the budget, without the registry's lock.
func releaseBudget(removed []*Session) {
	for _, s := range removed {
		s.log.ReleaseBudget()
	}
}

// removeRetained removes an ended session. The caller passes it to releaseBudget.
func (r *Registry) removeRetained(x *retained) *Session {
	o := r.owners[x.s.spec.Owner]
	r.ended.Remove(x.all)
	o.ended.Remove(x.ofOwner)
	o.evictable.Remove(x.evictable)
	o.weight -= x.s.spec.Weight
	r.weight -= x.s.spec.Weight
	x.s.kept = nil
	r.remove(x.s)
	return x.s
}

// expire removes the sessions whose time has passed, and sets the timer for the next one.
func (r *Registry) expire() { releaseBudget(r.removeExpired()) }

func (r *Registry) removeExpired() (removed []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	for e := r.ended.Front(); e != nil; e = r.ended.Front() {
		x := e.Value.(*retained)
		if rest := time.Until(x.until); rest > 0 {
			r.expiry.Reset(rest)
			return removed
		}
		removed = append(removed, r.removeRetained(x))
	}
	r.expiry = nil
	return removed
}
