package session

// EndWhere ends the sessions for which match returns true, with the cause Canceled and their
// own grace, also those that are queued or starting. It does not wait until they have ended. match is called
// without a lock.
func (r *Registry) EndWhere(match func(*Session) bool) {
	var matching []*Session
	for _, s := range r.all() {
		if match(s) {
			matching = append(matching, s)
		}
	}
	endEach(matching, func(s *Session) { s.End(Canceled, nil) })
}
