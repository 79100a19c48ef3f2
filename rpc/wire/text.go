package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// This file escapes and unescapes the content of JSON strings (RFC 8259 §7). All output of all
// sessions is escaped here, so it works on blocks: 64 bytes are searched at once for those that
// need an escape, and the bytes between two of these are copied 16 at a time. A copy may write up
// to 15 bytes too many, which the next one overwrites.
const (
	blockBytes = 64
	moveBytes  = 16

	// inWindow is the input that a block needs: moves may read past the end of the block.
	inWindow = blockBytes + moveBytes
	// outWindow is the most room that a block needs: 64 escapes of 6 bytes are 384. It is rounded
	// up to a power of two, so that the compiler can prove masked indexes to be in bounds, plus
	// what moves may write past the end.
	outWindow = 512 + moveBytes
)

var (
	errUnterminated = errors.New("unterminated string")
	errControl      = errors.New("control character in a string")
	errEscape       = errors.New("invalid escape in a string")
)

// AppendText appends s to dst as the content of a JSON string, without the quotes. It escapes only
// what RFC 8259 §7 requires: the quote, the backslash and what is below U+0020. One byte of s
// becomes at most six.
//
// s must be valid UTF-8, which is not checked, and must not overlap dst. The spare capacity of dst
// beyond the result may be overwritten. AppendText does not allocate if the spare capacity is at
// least 528 bytes more than the result.
func AppendText(dst, s []byte) []byte {
	for len(s) >= inWindow {
		if cap(dst)-len(dst) < outWindow {
			dst = slices.Grow(dst, outWindow+len(s)+len(s)/8)
		}
		out := (*[outWindow]byte)(dst[len(dst):cap(dst)])
		in := (*[inWindow]byte)(s)
		n := blockBytes
		if specials := copyBlock((*[blockBytes]byte)(out[:]), (*[blockBytes]byte)(in[:])); specials != 0 {
			n = escapeBlock(out, in, specials)
		}
		dst = dst[:len(dst)+n]
		s = s[blockBytes:]
	}
	for _, c := range s {
		if e := escapes[c]; e != 0 {
			dst = append(dst, e.text()...)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendReplaced is [AppendText] for bytes that may not be UTF-8: each byte that is not part of a
// valid encoding is replaced by U+FFFD, as [utf8.DecodeRune] defines it. replaced is the number of
// these bytes.
func AppendReplaced(dst, s []byte) (out []byte, replaced int) {
	n := asciiBlocks(s)
	if n == len(s) || utf8.Valid(s[n:]) {
		return AppendText(dst, s), 0
	}
	var valid [1024]byte
	for len(s) > 0 {
		w, r, bad := replaceInvalid(&valid, s)
		dst = AppendText(dst, valid[:w])
		s = s[r:]
		replaced += bad
	}
	return dst, replaced
}

// asciiBlocks returns the length of the blocks of s before the first with a byte that is not ASCII.
// It is a fast check of what most programs write.
func asciiBlocks(s []byte) (n int) {
	le := binary.LittleEndian
	for ; len(s)-n >= blockBytes; n += blockBytes {
		b := (*[blockBytes]byte)(s[n:])
		all := le.Uint64(b[0:]) | le.Uint64(b[8:]) | le.Uint64(b[16:]) | le.Uint64(b[24:]) |
			le.Uint64(b[32:]) | le.Uint64(b[40:]) | le.Uint64(b[48:]) | le.Uint64(b[56:])
		if all&highs != 0 {
			break
		}
	}
	return n
}

// AppendQuote appends s to dst as a JSON string, with quotes. Bytes that are not UTF-8 become
// U+FFFD.
func AppendQuote(dst []byte, s string) []byte {
	dst = append(dst, '"')
	// The compiler makes no copy of s: AppendReplaced neither keeps nor changes it.
	dst, _ = AppendReplaced(dst, []byte(s))
	return append(dst, '"')
}

// UnescapeText decodes the content of a JSON string. src begins after the opening quote. The
// decoded text is appended to dst, and rest is what follows the closing quote. Surrogate pairs are
// joined, lone surrogates become U+FFFD. Bytes that are not UTF-8 are copied unchanged.
//
// dst may be src[:0], to decode in place: src up to rest is then overwritten. Otherwise the two
// must not overlap, and the spare capacity of dst beyond the result may be overwritten.
// UnescapeText does not allocate in place, or if the spare capacity is at least 528 bytes more than
// the result.
//
// A missing closing quote, a byte below 0x20 and an escape that RFC 8259 §7 does not define are
// errors; then dst is returned unchanged and rest is nil. If it was decoding in place, the content
// of src is undefined.
func UnescapeText(dst, src []byte) (out, rest []byte, err error) {
	inPlace := len(dst) == 0 && cap(dst) > 0 && len(src) > 0 && &dst[:1][0] == &src[0]
	u := unescaper{out: dst, in: src, inPlace: inPlace}
	if u.decode(); u.err != nil {
		return dst, nil, u.err
	}
	return u.out, u.in, nil
}

// TextInPlace returns the text of a valid JSON string, which it decodes in the memory of value. The
// error is that of a lone surrogate, as of [DecodeParams].
func TextInPlace(value []byte) ([]byte, *FieldError) {
	src := value[1:]
	u := unescaper{out: src[:0], in: src, inPlace: true}
	if u.decode(); u.err != nil {
		panic("wire: not a JSON string")
	}
	if u.lone {
		return nil, errLoneSurrogate()
	}
	return u.out, nil
}

// decode decodes up to the closing quote or an error.
func (u *unescaper) decode() {
	for !u.closed && u.err == nil {
		if u.hasRoom() {
			u.block()
		} else {
			u.run()
		}
	}
}

// textEnd finds the end of a string. src begins after the opening quote; src[n-1] is the closing
// quote. It makes the same checks as [UnescapeText].
func textEnd(src []byte) (n int, err error) {
	for {
		n += shortEscapes(src[n:])
		n += plainPrefix(src[n:])
		if n == len(src) {
			return 0, errUnterminated
		}
		switch c := src[n]; {
		case c == '"':
			return n + 1, nil
		case c != '\\':
			return 0, errControl
		}
		_, size := decodeEscape(src[n:])
		if size == 0 {
			return 0, errEscape
		}
		n += size
	}
}

// shortEscapes returns the length of a part at the start of s in which all specials belong to
// escapes of two bytes. It steps over whole blocks, and ends before what it cannot step over.
func shortEscapes(s []byte) int {
	n := 0
	for len(s)-n >= inWindow {
		in := (*[inWindow]byte)(s[n:])
		next := blockBytes
		for specials := blockSpecials((*[blockBytes]byte)(in[:])); specials != 0; {
			at := bits.TrailingZeros64(specials)
			if in[at&63] != '\\' || unescapes[in[at&63+1]] == 0 {
				return n + at
			}
			next = max(next, at+2)
			specials &^= 3 << at
		}
		n += next
	}
	return n
}

// escape is the escape sequence of a byte: up to six bytes of text, the first in the lowest byte,
// and their number in the highest. It is zero for bytes that need no escape.
type escape uint64

func newEscape(text string) escape {
	var b [8]byte
	copy(b[:], text)
	b[7] = byte(len(text))
	return escape(binary.LittleEndian.Uint64(b[:]))
}

func (e escape) size() int { return int(e >> 56) }

func (e escape) text() string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(e))
	return string(b[:e.size()])
}

// escapes is indexed by the byte to escape.
var escapes = func() (t [256]escape) {
	const hex = "0123456789abcdef"
	for c := range 0x20 {
		t[c] = newEscape(`\u00` + hex[c>>4:][:1] + hex[c&15:][:1])
	}
	for i, c := range []byte(shortEscaped) {
		t[c] = newEscape(`\` + shortLetters[i:][:1])
	}
	return t
}()

// unescapes is indexed by the letter after a backslash; it is 0 if that is not an escape of two
// bytes.
var unescapes = func() (t [256]byte) {
	for i, letter := range []byte(shortLetters) {
		t[letter] = shortEscaped[i]
	}
	t['/'] = '/'
	return t
}()

// The characters that have an escape of two bytes, and the letters of these escapes in the same
// order.
const (
	shortEscaped = "\"\\\b\f\n\r\t"
	shortLetters = `"\bfnrt`
)

// special reports whether c must be escaped in a string.
func special(c byte) bool { return c < 0x20 || c == '"' || c == '\\' }

const (
	ones  = 0x0101010101010101 // times c: c in every byte
	highs = 0x80 * ones
)

// plain sets the high bit of each byte of w that is not special. Additions to seven-bit values
// carry into the high bit and never beyond, so bytes do not influence each other. Swapping 0x20
// with the quote makes the quote the end of the range of the control characters.
func plain(w uint64) uint64 {
	low := w &^ highs
	return w | ((low^('"'^' ')*ones)+(0x80-0x21)*ones)&((low^'\\'*ones)+0x7f*ones)
}

// copyBlock copies in to out and returns a bit for each special byte; the lowest is that of in[0].
func copyBlock(out, in *[blockBytes]byte) uint64 {
	le := binary.LittleEndian
	a, b, c, d := le.Uint64(in[0:]), le.Uint64(in[8:]), le.Uint64(in[16:]), le.Uint64(in[24:])
	le.PutUint64(out[0:], a)
	le.PutUint64(out[8:], b)
	le.PutUint64(out[16:], c)
	le.PutUint64(out[24:], d)
	columns := plain(a)&highs>>7 | plain(b)&highs>>6 | plain(c)&highs>>5 | plain(d)&highs>>4
	a, b, c, d = le.Uint64(in[32:]), le.Uint64(in[40:]), le.Uint64(in[48:]), le.Uint64(in[56:])
	le.PutUint64(out[32:], a)
	le.PutUint64(out[40:], b)
	le.PutUint64(out[48:], c)
	le.PutUint64(out[56:], d)
	columns |= plain(a)&highs>>3 | plain(b)&highs>>2 | plain(c)&highs>>1 | plain(d)&highs
	return rows(^columns)
}

// blockSpecials is copyBlock without the copy.
func blockSpecials(in *[blockBytes]byte) uint64 {
	le := binary.LittleEndian
	return rows(^(plain(le.Uint64(in[0:]))&highs>>7 |
		plain(le.Uint64(in[8:]))&highs>>6 |
		plain(le.Uint64(in[16:]))&highs>>5 |
		plain(le.Uint64(in[24:]))&highs>>4 |
		plain(le.Uint64(in[32:]))&highs>>3 |
		plain(le.Uint64(in[40:]))&highs>>2 |
		plain(le.Uint64(in[48:]))&highs>>1 |
		plain(le.Uint64(in[56:]))&highs))
}

// rows transposes a matrix of 8 by 8 bits: bit k of byte n goes to bit n of byte k. This brings the
// high bits of eight words, each shifted by the number of its word, into the order of the bytes.
// See Hacker's Delight, 2nd edition, §7-3.
func rows(x uint64) uint64 {
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}

// escapeBlock writes the first block of in to out with its specials escaped, and returns the number
// of bytes written. The masks never change an index; they make bounds checks unnecessary.
func escapeBlock(out *[outWindow]byte, in *[inWindow]byte, specials uint64) int {
	w, r := 0, 0 // the positions in out and in
	for ; specials != 0; specials &= specials - 1 {
		at := bits.TrailingZeros64(specials)
		run := at - r
		move(out, w, in, r)
		for n := moveBytes; n < run; n += moveBytes {
			move(out, w+n, in, r+n)
		}
		w += run
		e := escapes[in[at&63]]
		binary.LittleEndian.PutUint64(out[w&511:][:8], uint64(e))
		w += e.size()
		r = at + 1
	}
	run := blockBytes - r
	for n := 0; n < run; n += moveBytes {
		move(out, w+n, in, r+n)
	}
	return w + run
}

// move copies 16 bytes.
func move(out *[outWindow]byte, w int, in *[inWindow]byte, r int) {
	w, r = w&511, r&63
	a, b := binary.LittleEndian.Uint64(in[r:][:8]), binary.LittleEndian.Uint64(in[r+8:][:8])
	binary.LittleEndian.PutUint64(out[w:][:8], a)
	binary.LittleEndian.PutUint64(out[w+8:][:8], b)
}

// unescaper is the state of a call of [UnescapeText].
type unescaper struct {
	out     []byte // the decoded text
	in      []byte // what is still to be read
	inPlace bool   // out and src begin at the same byte
	gap     int    // the number of bytes read minus that of bytes written
	closed  bool   // the closing quote was read
	lone    bool   // a lone surrogate was read
	err     error
}

// hasRoom reports whether the next block of in can be decoded at once. In place, the excess bytes
// of moves must only overwrite what was read.
func (u *unescaper) hasRoom() bool {
	if len(u.in) < inWindow {
		return false
	}
	if u.inPlace {
		return u.gap >= moveBytes && cap(u.out)-len(u.out) >= outWindow
	}
	if cap(u.out)-len(u.out) < outWindow {
		u.out = slices.Grow(u.out, outWindow)
	}
	return true
}

// block decodes up to the end of the next block of in, or up to and including the first special in
// it that is not an escape of two bytes.
func (u *unescaper) block() {
	in := (*[inWindow]byte)(u.in)
	out := (*[outWindow]byte)(u.out[len(u.out):cap(u.out)])
	w, r := 0, 0 // the positions in out and in
	for specials := blockSpecials((*[blockBytes]byte)(in[:])); specials != 0; {
		at := bits.TrailingZeros64(specials)
		run := at - r
		for n := 0; n < run; n += moveBytes {
			move(out, w+n, in, r+n)
		}
		w, r = w+run, at
		c := unescapes[in[at&63+1]]
		if in[at&63] != '\\' || c == 0 {
			u.advance(w, r)
			u.decodeSpecial()
			return
		}
		out[w&511] = c
		w, r = w+1, at+2
		specials &^= 3 << at
	}
	run := blockBytes - r
	for n := 0; n < run; n += moveBytes {
		move(out, w+n, in, r+n)
	}
	if run > 0 {
		w, r = w+run, blockBytes
	}
	u.advance(w, r)
}

// run decodes up to and including the next special.
func (u *unescaper) run() {
	n := plainPrefix(u.in)
	u.out = append(u.out, u.in[:n]...)
	u.in = u.in[n:]
	u.decodeSpecial()
}

// decodeSpecial decodes the special at the start of in.
func (u *unescaper) decodeSpecial() {
	switch {
	case len(u.in) == 0:
		u.err = errUnterminated
	case u.in[0] == '"':
		u.in = u.in[1:]
		u.closed = true
	case u.in[0] == '\\':
		c, n := decodeEscape(u.in)
		if n == 0 {
			u.err = errEscape
			return
		}
		u.lone = u.lone || loneSurrogate(u.in, c)
		before := len(u.out)
		u.out = utf8.AppendRune(u.out, c)
		u.gap += n - (len(u.out) - before)
		u.in = u.in[n:]
	default:
		u.err = errControl
	}
}

// advance records that w bytes were written and r read.
func (u *unescaper) advance(w, r int) {
	u.out = u.out[:len(u.out)+w]
	u.in = u.in[r:]
	u.gap += r - w
}

// decodeEscape decodes the escape at the start of src, which begins with a backslash. Its size is
// 2, 6, or 12 for a surrogate pair, and 0 if it is not valid.
func decodeEscape(src []byte) (r rune, size int) {
	if len(src) < 2 {
		return 0, 0
	}
	if c := unescapes[src[1]]; c != 0 {
		return rune(c), 2
	}
	hi, ok := decodeHex(src)
	if !ok {
		return 0, 0
	}
	if hi < 0xd800 || hi > 0xdfff {
		return hi, 6
	}
	if lo, ok := decodeHex(src[6:]); ok && hi < 0xdc00 && lo >= 0xdc00 && lo <= 0xdfff {
		return (hi-0xd800)<<10 | (lo - 0xdc00) + 0x10000, 12
	}
	return utf8.RuneError, 6
}

// loneSurrogate reports whether an escape, which was decoded to r, is that of a surrogate that is
// not part of a pair.
func loneSurrogate(escape []byte, r rune) bool {
	if r != utf8.RuneError {
		return false
	}
	unit, ok := decodeHex(escape)
	return ok && utf16.IsSurrogate(unit)
}

// decodeHex reads \uXXXX at the start of src.
func decodeHex(src []byte) (r rune, ok bool) {
	if len(src) < 6 || src[0] != '\\' || src[1] != 'u' {
		return 0, false
	}
	for _, c := range src[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// plainPrefix returns the number of bytes before the first special in s.
func plainPrefix(s []byte) int {
	n := 0
	for ; n+8 <= len(s); n += 8 {
		if marks := ^plain(binary.LittleEndian.Uint64(s[n:])) & highs; marks != 0 {
			return n + bits.TrailingZeros64(marks)/8
		}
	}
	for n < len(s) && !special(s[n]) {
		n++
	}
	return n
}

// replaceInvalid copies as much of s to out as fits, with U+FFFD for each byte that is not part of
// valid UTF-8. It returns the numbers of bytes that it wrote, read and replaced.
func replaceInvalid(out *[1024]byte, s []byte) (w, r, replaced int) {
	for r < len(s) && w <= len(out)-utf8.UTFMax {
		if c := s[r]; c < utf8.RuneSelf {
			out[w] = c
			w, r = w+1, r+1
			continue
		}
		c, size := utf8.DecodeRune(s[r:])
		if c == utf8.RuneError && size == 1 {
			replaced++
		}
		w += utf8.EncodeRune(out[w:], c)
		r += size
	}
	return w, r, replaced
}

// Clip shortens s to at most n bytes and an ellipsis, without splitting a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
