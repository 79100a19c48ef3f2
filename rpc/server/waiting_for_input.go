package server

import (
	"strconv"

	"github.com/runnel-rpc/runnel/session"
)

// withInput adds members to a JSON object: whether the session waits for input, and whether its
// terminal echoes.
func withInput(object []byte, s *session.Session) []byte {
	in := s.Input()
	b := append(object[:len(object)-1], `,"waiting_for_input":`...)
	if in.Waiting {
		b = append(b, "true"...)
	} else {
		b = append(b, "null"...)
	}
	if in.Echo != nil {
		b = strconv.AppendBool(append(b, `,"echo":`...), *in.Echo)
	}
	return append(b, '}')
}
