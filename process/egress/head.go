package egress

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
)

var (
	errHeadTooLong = errors.New("the head is longer than 32 KiB")
	errLine        = errors.New("a line of the head does not end in CR LF")
	errField       = errors.New("a line of the head is not a field")
	errLength      = errors.New("more than one field says how long the body is")
	errEncoding    = errors.New("the transfer encoding is not chunked, or the version is not HTTP/1.1")
	errHosts       = errors.New("more than one field is Host")
)

// peekHead waits for the complete head of a message: everything up to the first empty line. The
// head stays in r, whose size is the longest head.
func peekHead(r *bufio.Reader) ([]byte, error) {
	for seen := 0; ; {
		b, _ := r.Peek(r.Buffered())
		if end := headEnd(b, seen); end > 0 {
			return b[:end], nil
		}
		seen = len(b)
		if seen == r.Size() {
			return nil, errHeadTooLong
		}
		if _, err := r.Peek(seen + 1); err != nil {
			return nil, err
		}
	}
}

// headEnd returns the number of bytes up to the first empty line, as package textproto sees it: a
// line may end in LF alone. Of the first seen bytes it is known that none ends such a line. The
// result is 0 if there is none.
func headEnd(b []byte, seen int) int {
	for i := seen; i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		line := bytes.TrimSuffix(b[:i], []byte("\r"))
		if len(line) == 0 || line[len(line)-1] == '\n' {
			return i + 1
		}
	}
	return 0
}

// checkRequestHead returns an error if two readers may understand the head of a request differently
// (RFC 9112, sections 2.2, 5 and 6; request smuggling): each line has to end in CR LF and to be a
// field of its own, and at most one field may say how long the body is.
func checkRequestHead(head []byte) error {
	lines := bytes.SplitAfter(head, []byte("\n"))
	counts := map[string]int{}
	current := bytes.HasSuffix(lines[0], []byte(" HTTP/1.1\r\n"))
	for i, line := range lines[:len(lines)-1] {
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || bytes.IndexByte(text, '\r') >= 0 {
			return errLine
		}
		if i == 0 || i == len(lines)-2 {
			continue
		}
		name, value, ok := bytes.Cut(text, []byte(":"))
		if !ok || !isToken(name) || !isFieldValue(value) {
			return errField
		}
		key := strings.ToLower(string(name))
		counts[key]++
		chunked := strings.EqualFold(string(bytes.Trim(value, " \t")), "chunked")
		if key == "transfer-encoding" && !(chunked && current) {
			return errEncoding
		}
	}
	if counts["content-length"]+counts["transfer-encoding"] > 1 {
		return errLength
	}
	if counts["host"] > 1 {
		return errHosts
	}
	return nil
}

// isToken reports whether a text is a token (RFC 9110, section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') &&
			strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// isFieldValue reports whether a text has no control characters but tabs (RFC 9110, section 5.5).
func isFieldValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
