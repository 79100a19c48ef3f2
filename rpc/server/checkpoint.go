package server

// A checkpoint is a point of a handler at which a test can wait or panic, to check what the server
// does with requests and sessions that have got so far.
type checkpoint string

const (
	checkpointFound  checkpoint = "find"   // conn.find has found a session
	checkpointAttach checkpoint = "attach" // execute is about to attach the connection
	checkpointBegin  checkpoint = "begin"  // execute is about to call Session.Begin
	checkpointBegun  checkpoint = "begun"  // Session.Begin has returned
	checkpointPaint  checkpoint = "paint"  // conn.compute is about to compute a screen
)

// reached calls the function of a test, if there is one.
func (s *Server) reached(c checkpoint) {
	if s.onCheckpoint != nil {
		s.onCheckpoint(c)
	}
}
