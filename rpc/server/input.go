package server

import (
	"strconv"

	"github.com/runnel-rpc/runnel/session"
)

// withInput puts what is known of a session's stdin behind the members of an object.
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
