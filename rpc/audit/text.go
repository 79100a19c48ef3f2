package audit

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// replacement is U+FFFD in UTF-8, which stands for each byte that is not UTF-8.
const replacement = "\uFFFD"

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON string (RFC 8259 §7). Quotes, backslashes and all characters that
// are not printable are escaped, so that a line that is printed on a terminal has no effect on it.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		n := i
		for n < len(s) && plain(s[n]) {
			n++
		}
		if b = append(b, s[i:n]...); n == len(s) {
			break
		}
		r, size := utf8.DecodeRuneInString(s[n:])
		b = appendRune(b, r, size)
		i = n + size
	}
	return append(b, '"')
}

// plain reports whether a byte is a character of ASCII that needs no escape.
func plain(c byte) bool { return ' ' <= c && c < 0x7f && c != '"' && c != '\\' }

// appendRune appends a character, escaped if need be. size is its length; that of an invalid byte is
// 1, and r is utf8.RuneError then.
func appendRune(b []byte, r rune, size int) []byte {
	switch {
	case r == utf8.RuneError && size == 1:
		return append(b, replacement...)
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case strconv.IsPrint(r):
		return utf8.AppendRune(b, r)
	case r > 0xffff: // a surrogate pair
		r -= 0x10000
		return appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(b, r)
}

// appendUnit appends the escape of a UTF-16 code unit.
func appendUnit(b []byte, u rune) []byte {
	return append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// appendBase64 appends s as a JSON string in base64.
func appendBase64(b []byte, s string) []byte {
	b = base64.StdEncoding.AppendEncode(append(b, '"'), []byte(s))
	return append(b, '"')
}

// quotesBytes is what a JSON string takes besides its characters, and a comma.
const quotesBytes = 3

// prefix returns the length of the longest prefix of s that takes at most room bytes as a JSON
// string, and with exact also in base64. It ends between two characters.
func prefix(s string, room int, exact bool) int {
	room -= quotesBytes
	if exact {
		room -= quotesBytes + 3 // the padding
	}
	if !exact && len(s)*12 <= room { // no byte takes more
		return len(s)
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		var escaped [12]byte
		room -= len(appendRune(escaped[:0], r, size))
		if exact {
			room -= 2 * size // 4 for 3 bytes, rounded up
		}
		if room < 0 {
			return i
		}
		i += size
	}
	return len(s)
}
