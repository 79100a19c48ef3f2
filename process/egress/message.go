package egress

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// framing is how a message says where its body ends (RFC 9112, section 6.3).
type framing int

const (
	noBody     framing = iota // there is none; a Content-Length is about something else, such as HEAD
	byLength                  // Content-Length
	byChunks                  // Transfer-Encoding: chunked
	byEndOfAll                // the connection ends
)

// message is a request or response as it is written.
type message struct {
	first   string // the first line
	header  http.Header
	framing framing
	length  int64 // byLength
	body    io.Reader
	last    bool // the connection is closed after it
}

// bodyError is an error of reading a body, and not of writing it.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// write writes the message. The error of reading its body is a *bodyError.
func (m *message) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(m.first + "\r\n")
	switch m.framing {
	case byLength:
		m.header.Set("Content-Length", strconv.FormatInt(m.length, 10))
	case byChunks:
		m.header.Del("Content-Length")
		m.header.Set("Transfer-Encoding", "chunked")
	case byEndOfAll:
		m.header.Del("Content-Length")
	}
	if m.last {
		m.header.Set("Connection", "close")
	}
	m.header.Write(&b)
	b.WriteString("\r\n")
	if _, err := io.WriteString(w, b.String()); err != nil || m.framing == noBody {
		return err
	}
	return copyBody(w, m.body, m.framing == byChunks)
}

// bodies has the buffers that bodies are copied with.
var bodies = sync.Pool{New: func() any { return new([bodyBytes]byte) }}

// copyBody copies a body up to its end. What was read is written before the next read, so that
// what a peer sends piece by piece arrives like that.
func copyBody(w io.Writer, body io.Reader, chunked bool) error {
	buffer := bodies.Get().(*[bodyBytes]byte)
	defer bodies.Put(buffer)
	const sizeBytes, endBytes = 6, 2 // "7fff\r\n" and "\r\n"
	for {
		n, err := body.Read(buffer[sizeBytes : bodyBytes-endBytes])
		out := buffer[sizeBytes : sizeBytes+n]
		if n > 0 && chunked {
			copy(buffer[:], fmt.Sprintf("%04x\r\n", n))
			out = append(buffer[:sizeBytes+n], "\r\n"...)
		}
		if chunked && err == io.EOF {
			out = append(out, "0\r\n\r\n"...)
		}
		if len(out) > 0 {
			if _, err := w.Write(out); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &bodyError{err}
		}
	}
}

// hopByHop are the fields that are about one connection (RFC 9110, section 7.6.1), besides those
// that Connection names.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// removeHopByHop removes the fields that are not passed on.
func removeHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.Trim(name, " \t"))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}
