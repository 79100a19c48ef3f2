package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

const (
	// maxStatusBytes is the longest JSON of a session's status, which fits into a message and into
	// a page of list.
	maxStatusBytes = rpc.MaxFrameBytes - maxReplyOverhead - pageEndBytes
	// shortCommandBytes is the length to which a command is shortened that does not fit.
	shortCommandBytes = 16 << 10
)

func status(r *request, p *rpc.SessionParams) answer {
	s, err := r.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	v := s.View()
	if v.Failure != nil && v.State == session.Ended && !v.FailureKept {
		return result(nil, rpc.SessionNotFound(r.conn.name(s)))
	}
	st := r.conn.status(s, &v)
	return result(lazyResult(func() []byte { return withInput(statusText(st), s) }), nil)
}

// statusText returns the JSON of a status. Params may be longer in a reply than in the message of
// the client, by escapes and base64. If the status does not fit into a message, the command is
// shortened, and then the longest labels are left out.
func statusText(st rpc.SessionStatus) []byte {
	text := plainText(st)
	if len(text) <= maxStatusBytes {
		return text
	}
	exact := st.Command
	if st.CommandBase64 != nil {
		exact = rpc.Command(*st.CommandBase64)
	}
	st.CommandTruncated = shortenCommand(&exact)
	if st.Command = exact.Text(); st.CommandBase64 != nil {
		st.CommandBase64 = (*rpc.Base64Command)(&exact)
	}
	if text = plainText(st); len(text) <= maxStatusBytes {
		return text
	}
	st.Labels, st.LabelsTruncated = maps.Clone(st.Labels), true
	longest := slices.SortedFunc(maps.Keys(st.Labels), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b)+len(st.Labels[b]), len(a)+len(st.Labels[a])), cmp.Compare(a, b))
	})
	for over := len(text) - maxStatusBytes; over > 0 && len(longest) > 0; longest = longest[1:] {
		name := longest[0]
		over -= len(plainText(map[string]string{name: st.Labels[name]})) - len("{}")
		delete(st.Labels, name)
	}
	return plainText(st)
}

// shortenCommand shortens a command to shortCommandBytes, including an overhead per argument, and
// reports whether it was longer.
func shortenCommand(c *rpc.Command) bool {
	const perArgument = 4
	if len(c.Shell) > shortCommandBytes {
		c.Shell = prefix(c.Shell, shortCommandBytes)
		return true
	}
	left := shortCommandBytes
	for i, arg := range c.Argv {
		if len(arg)+perArgument > left {
			c.Argv = append(slices.Clone(c.Argv[:i]), prefix(arg, max(0, left-perArgument)))
			return true
		}
		left -= len(arg) + perArgument
	}
	return false
}

// prefix returns the longest prefix of s that has at most n bytes and ends after a character.
func prefix(s string, n int) string {
	for k := 0; k < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); k++ {
		n--
	}
	return s[:n]
}

// plainText returns the JSON of v without escapes for HTML.
func plainText(v any) []byte {
	var b bytes.Buffer
	if err := plainEncoder(&b).Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// plainEncoder returns an encoder that does not escape for HTML.
func plainEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}
