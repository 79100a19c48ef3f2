package session

import "container/list"

// names has the sessions of one owner that have a name. Those with the same name are in one list,
// oldest first. A name is not given to another session before the one that has it is retained or
// removed, so only the last of a list may not have ended. The registry's lock protects it.
type names map[string]*list.List

// add adds a session that is newer than all others.
func (n names) add(s *Session) {
	l := n[s.spec.Name]
	if l == nil {
		l = list.New()
		n[s.spec.Name] = l
	}
	s.named = l.PushBack(s)
}

func (n names) remove(s *Session) {
	l := n[s.spec.Name]
	if l.Remove(s.named); l.Len() == 0 {
		delete(n, s.spec.Name)
	}
}

// newest returns the newest session of that name, or nil.
func (n names) newest(name string) *Session {
	if l := n[name]; l != nil {
		return l.Back().Value.(*Session)
	}
	return nil
}

// findNamed returns the owner's newest session of that name, or nil.
func (r *Registry) findNamed(owner, name string) *Session {
	if o := r.owners[owner]; o != nil {
		return o.names.newest(name)
	}
	return nil
}

// checkName returns an error if a session that has not ended has the name of a new one.
func (r *Registry) checkName(spec *Spec) error {
	if s := r.findNamed(spec.Owner, spec.Name); spec.Name != "" && s != nil && s.kept == nil {
		return &NameError{Name: spec.Name, ID: s.spec.ID}
	}
	return nil
}

// FindNamed returns the owner's session of that name which has not ended, or else the newest that is
// kept, in memory or in the spool. The error is ErrNotFound, or ErrUnavailable if only the spool has the
// session and the disk does not respond.
func (r *Registry) FindNamed(owner, name string) (*Session, error) {
	s, ended := r.findNamedInMemory(owner, name)
	if s != nil && !ended {
		return s, nil
	}
	if kept, ok := r.o.Spool.FindNamed(owner, name); ok && (s == nil || kept.Key() > s.created) {
		if newer, err := r.restoreOne(kept); err != ErrNotFound || s == nil {
			return newer, err
		}
	}
	if s == nil {
		return nil, ErrNotFound
	}
	return s, nil
}

// findNamedInMemory is findNamed, and reports whether the session has ended.
func (r *Registry) findNamedInMemory(owner, name string) (s *Session, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s = r.findNamed(owner, name)
	return s, s != nil && s.kept != nil
}
