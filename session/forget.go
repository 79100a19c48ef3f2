package session

// Forget removes an ended session of an owner, as if its time had passed: its id may be used again.
// Attachments and cursors may read its log to the end, and keep its memory until they are closed.
// Errors: ErrNotFound, *NotEndedError, and ErrUnavailable if the spool has the session and the disk does not
// respond; then it is not removed.
func (r *Registry) Forget(owner, id string) error {
	s, err := r.Find(owner, id)
	if err != nil {
		return err
	}
	if state := s.View().State; state != Ended {
		return &NotEndedError{state}
	}
	if err := r.forgetSpooled(s); err != nil {
		return err
	}
	if s.restored != nil {
		return nil
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

// forgetSpooled removes from the spool what that has of a session which has ended.
func (r *Registry) forgetSpooled(s *Session) error {
	kept, ok := r.o.Spool.Find(s.spec.Owner, s.spec.ID)
	if !ok || kept.Key() != s.created {
		return nil
	}
	if err := kept.Forget(); err != nil {
		s.logged(r.o.Log.Warn()).Err(err).Msg("session not removed from the spool")
		return ErrUnavailable
	}
	return nil
}
