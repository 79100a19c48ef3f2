package session

// EndWhere ends the sessions for whose spec match returns true, with the cause Canceled and their
// own grace, also those that are starting. It does not wait until they have ended. match is called
// without a lock.
func (r *Registry) EndWhere(match func(*Spec) bool) {
	var matching []*Session
	for _, s := range r.all() {
		if match(&s.spec) {
			matching = append(matching, s)
		}
	}
	endEach(matching, func(s *Session) { s.End(Canceled, nil) })
}
