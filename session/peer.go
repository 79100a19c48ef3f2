package session

import "syscall"

// SessionOfPeer returns the session to which the process at the other end of a Unix socket belongs,
// or nil if it belongs to none. The caller gets at most the principal and the role of that session
// (Spec.Owner, Spec.Role). The error means that it cannot be known: then the caller is refused. It
// is a *process.PeerError, and [process.Host.TagOfPeer] says what is found.
func (r *Registry) SessionOfPeer(c syscall.Conn) (*Session, error) {
	tag, _, err := r.o.Host.TagOfPeer(c)
	s, _ := tag.(*Session)
	return s, err
}
