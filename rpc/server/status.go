package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

const (
	// maxStatusBytes is the longest text of a session's status. It fits into a message, and into a page of list.
	maxStatusBytes = rpc.MaxFrameBytes - maxReplyOverhead - pageEndBytes
	// shortCommandBytes is what is told of a command where all of it does not fit.
	shortCommandBytes = 16 << 10
)

func status(r *request, p *rpc.SessionParams) answer {
	s, err := r.conn.find(p.SessionID)
	if err != nil {
		return result(nil, err)
	}
	v := s.View()
	if v.Failure != nil && v.State == session.Ended {
		return result(nil, rpc.SessionNotFound(s.ID()))
	}
	st := sessionStatus(s, &v)
	return result(lazyResult(func() []byte { return withInput(statusText(st), s) }), nil)
}

// statusText is the text of a status, of which parts are left out where all of it does not fit into a message: what a
// client said may take more bytes in a reply than in its own message. The command is shortened first, and then the
// longest labels are left out.
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

// shortenCommand leaves shortCommandBytes of a longer command, and reports whether it was one. An argument counts some
// bytes besides its text.
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

// prefix is the first n bytes of s, or a few less where that would go through a character.
func prefix(s string, n int) string {
	for k := 0; k < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); k++ {
		n--
	}
	return s[:n]
}

// plainText is the JSON of v without the escapes that HTML would need.
func plainText(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
