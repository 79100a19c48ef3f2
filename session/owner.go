package session

import (
	"container/list"

	"github.com/runnel-rpc/runnel/stream"
)

// owner is what the registry knows of one owner that has sessions. The registry's lock protects it.
type owner struct {
	name     string
	sessions map[string]*Session // by id
	index    index               // the same sessions by creation time
	names    names               // those of them that have a name
	account  *stream.Account     // of their logs; nil without a budget

	ended     list.List // of *retained, oldest first
	weight    int64     // Spec.Weight of those together
	evictable list.List // of *Session: those of them whose log was not evicted
}

// owner returns the owner with that name, which it adds if it has no sessions yet.
func (r *Registry) owner(name string) *owner {
	o := r.owners[name]
	if o == nil {
		o = &owner{name: name, sessions: make(map[string]*Session), names: make(names)}
		r.owners[name] = o
	}
	return o
}

// find returns the owner's session with that id, or nil.
func (r *Registry) find(name, id string) *Session {
	if o := r.owners[name]; o != nil {
		return o.sessions[id]
	}
	return nil
}

// nextCreated returns Session.created of a new session, which is unique: if the clock has not
// advanced, or was set back, it is that of the newest session plus 1.
func (r *Registry) nextCreated(now int64) int64 {
	r.newest = max(now, r.newest+1)
	return r.newest
}

// add adds a session.
func (r *Registry) add(s *Session) {
	o := r.owner(s.spec.Owner)
	o.sessions[s.spec.ID] = s
	o.index.add(s)
	if s.spec.Name != "" {
		o.names.add(s)
	}
}

// remove removes a session, and its owner if that was the last one.
func (r *Registry) remove(s *Session) {
	o := r.owners[s.spec.Owner]
	delete(o.sessions, s.spec.ID)
	o.index.remove(s)
	if s.spec.Name != "" {
		o.names.remove(s)
	}
	if len(o.sessions) == 0 {
		delete(r.owners, s.spec.Owner)
	}
}
