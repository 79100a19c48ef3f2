package server

// SetHook makes s call f at steps of its handlers: "find" when a session was found, and in an
// execute "attach" and "begin" before these calls and "begun" after Begin. It must be called
// before Serve.
func (s *Server) SetHook(f func(step string)) { s.hook = f }
