package main

import (
	"strings"
	"unicode/utf8"
)

// bytesBase is the first of 256 private code points that stand for single bytes while kong has the arguments: it passes
// them through encoding/json, which changes what is not UTF-8.
const bytesBase = 0x10FF00

// escapeBytes writes each byte of arg that is no part of UTF-8 as a code point, and so those of the code points that
// would be mistaken for one.
func escapeBytes(arg string) string {
	var b strings.Builder
	for len(arg) > 0 {
		r, size := utf8.DecodeRuneInString(arg)
		if r == utf8.RuneError && size == 1 || stands(r) {
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
		if stands(r) {
			b.WriteByte(byte(r - bytesBase))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func stands(r rune) bool { return r >= bytesBase && r <= bytesBase+0xFF }

// unescape undoes what was done to the arguments for kong.
func (c *runCmd) unescape() {
	for _, s := range []*string{&c.Shell, &c.Cwd, &c.TokenFile} {
		*s = unescapeBytes(*s)
	}
	for i := range c.Args {
		c.Args[i] = unescapeBytes(c.Args[i])
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
