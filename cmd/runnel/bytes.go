package main

import (
	"strings"
	"unicode/utf8"
)

// bytesBase is the first of 256 private-use code points that replace single bytes while kong
// processes the arguments. Kong passes them through encoding/json, which would change invalid
// UTF-8.
const bytesBase = 0x10FF00

// escapeBytes replaces each byte of arg that is invalid UTF-8, and each byte of the replacing code
// points themselves, by a code point.
func escapeBytes(arg string) string {
	var b strings.Builder
	for len(arg) > 0 {
		r, size := utf8.DecodeRuneInString(arg)
		if r == utf8.RuneError && size == 1 || isEscape(r) {
			for i := range size {
				b.WriteRune(bytesBase + rune(arg[i]))
			}
		} else {
			b.WriteString(arg[:size])
		}
		arg = arg[size:]
	}
	return b.String()
}

// unescapeBytes is the reverse of escapeBytes.
func unescapeBytes(arg string) string {
	var b strings.Builder
	for _, r := range arg {
		if isEscape(r) {
			b.WriteByte(byte(r - bytesBase))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isEscape(r rune) bool { return r >= bytesBase && r <= bytesBase+0xFF }

// unescape reverses escapeBytes in the fields.
func (c *runCmd) unescape() {
	for _, s := range []*string{&c.Shell, &c.Cwd, &c.TokenFile} {
		*s = unescapeBytes(*s)
	}
	for _, list := range [][]string{c.Args, c.AllowRead, c.AllowWrite, c.Deny} {
		for i := range list {
			list[i] = unescapeBytes(list[i])
		}
	}
	c.Env, c.Label = unescapeMap(c.Env), unescapeMap(c.Label)
}

func unescapeMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for name, value := range m {
		out[unescapeBytes(name)] = unescapeBytes(value)
	}
	return out
}
