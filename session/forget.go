package session

// Forget removes an ended session of an owner, as if its time had passed: its id may be used again.
// Attachments and cursors may read its log to the end, and keep its memory until they are closed.
// Errors: ErrNotFound, and *NotEndedError.
func (r *Registry) Forget(owner, id string) error {
	s, err := r.Find(owner, id)
	if err != nil {
		return err
	}
	if state := s.View().State; state != Ended {
		return &NotEndedError{state}
	}
	if err := r.forget(s); err != nil {
		return err
	}
	releaseBudget([]*Session{s})
	return nil
}

// forget removes a session whose state is Ended.
func (r *Registry) forget(s *Session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.find(s.spec.Owner, s.spec.ID) != s: // it was removed meanwhile
		return ErrNotFound
	case s.kept == nil: // its start has failed, and fail is about to release its slot
		return &NotEndedError{Starting}
	}
	r.removeRetained(s.kept)
	return nil
}
