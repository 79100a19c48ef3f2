package files

import (
	"net/url"
	"strings"
)

// ParseURI returns the path of a file URI (RFC 8089): file:///path, file://localhost/path or
// file:/path. Other hosts, a query and a fragment are refused, as are a percent-encoded slash or NUL,
// and a component "..". The path may have bytes that are not UTF-8. The error is an *Error with
// ErrInvalidPath.
func ParseURI(uri string) (string, error) {
	invalid := func(why string) (string, error) {
		return "", &Error{Op: "ParseURI", Kind: ErrInvalidPath, Detail: why}
	}
	if len(uri) > MaxURIBytes {
		return invalid("the URI is too long")
	}
	if strings.ContainsAny(uri, "?#") { // url.Parse does not tell an empty fragment from none
		return invalid("the URI must not have a query or a fragment")
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil: // its text quotes the URI
		return invalid("the URI cannot be parsed")
	case u.Scheme != "file":
		return invalid("the URI must begin with file:///")
	case u.User != nil || u.Host != "" && !strings.EqualFold(u.Host, "localhost"):
		return invalid("the URI must not have a host other than localhost")
	case u.Opaque != "" || !strings.HasPrefix(u.Path, "/"):
		return invalid("the URI must have an absolute path")
	case strings.Contains(strings.ToLower(uri), "%2f"):
		return invalid("the URI must not have an encoded slash")
	}
	if err := (Path{Name: u.Path}).check(); err != nil {
		err.(*Error).Op = "ParseURI"
		return "", err
	}
	return u.Path, nil
}

// FormatURI returns the file URI of an absolute path. It encodes bytes that are not ASCII, controls,
// and the characters that the URL standard encodes in a path segment, as Codex does, so that the URIs
// of both are equal.
func FormatURI(path string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.WriteString("file://")
	for _, c := range []byte(path) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%<>?\\`{}", c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
