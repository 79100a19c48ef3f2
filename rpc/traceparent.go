package rpc

import (
	"errors"
	"fmt"
	"strings"
)

// The environment variables that carry the position of a process in a trace, as the OpenTelemetry
// specification names them (Environment Variables as Context Propagation Carriers).
const (
	TraceparentVariable = "TRACEPARENT"
	TracestateVariable  = "TRACESTATE" // belongs to the traceparent that it came with
)

// MaxTraceparent is the longest traceparent in bytes. One of version 00 has 55.
const MaxTraceparent = 512

// traceparentBytes is the length of the part that all versions have: two digits of the version, 32
// of the trace id, 16 of the parent id and two of the flags, with three dashes.
const traceparentBytes = 2 + 1 + 32 + 1 + 16 + 1 + 2

// Traceparent is the position of a caller in a trace (W3C Trace Context §3.2).
type Traceparent struct {
	TraceID  string // 32 lower-case hexadecimal digits
	ParentID string // 16 lower-case hexadecimal digits: the span of the caller
}

var errTraceparentForm = errors.New("must be VERSION-TRACE_ID-PARENT_ID-FLAGS of 2, 32, 16 and 2 lower-case hexadecimal digits")

// ParseTraceparent parses a traceparent. Version 00 has no more than the four fields. A later one,
// except ff, may have more after another dash (§3.2.4 of W3C Trace Context): visible ASCII
// characters, at most [MaxTraceparent] bytes in all.
func ParseTraceparent(s string) (Traceparent, error) {
	if len(s) < traceparentBytes || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Traceparent{}, errTraceparentForm
	}
	version, flags, rest := s[:2], s[53:55], s[traceparentBytes:]
	t := Traceparent{TraceID: s[3:35], ParentID: s[36:52]}
	if !isLowerHex(version) || !isLowerHex(t.TraceID) || !isLowerHex(t.ParentID) || !isLowerHex(flags) {
		return Traceparent{}, errTraceparentForm
	}
	switch {
	case version == "ff":
		return Traceparent{}, errors.New("must not have the version ff")
	case strings.Trim(t.TraceID, "0") == "":
		return Traceparent{}, errors.New("must not have a trace id of zeros only")
	case strings.Trim(t.ParentID, "0") == "":
		return Traceparent{}, errors.New("must not have a parent id of zeros only")
	case rest == "":
		return t, nil
	case version == "00":
		return Traceparent{}, fmt.Errorf("must have %d characters in version 00", traceparentBytes)
	case rest[0] != '-', !isVisible(rest):
		return Traceparent{}, errors.New("must have a dash and visible ASCII characters, if anything, after the flags")
	case len(s) > MaxTraceparent:
		return Traceparent{}, fmt.Errorf("must have at most %d bytes", MaxTraceparent)
	}
	return t, nil
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// isVisible reports whether s has only visible ASCII characters (VCHAR of RFC 5234).
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
