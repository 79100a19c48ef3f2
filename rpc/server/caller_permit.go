package server

// Permits returns the error of a method with a session that the caller's principal has started, or that is
// starting. It changes nothing. It writes nothing to the audit log.
func (c *Caller) Permits(method string, params any) error {
	return callerError(c.authorize(method, params))
}
