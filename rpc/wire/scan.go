package wire

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is the kind of a JSON value. Kinds are bits, so that they can be combined into sets.
type Kind uint8

// The kinds of JSON values. None is the kind of an empty text, which is not a value.
const (
	None Kind = 1 << iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// KindOf returns the kind of value, which must be empty or one valid JSON value without white space around it.
func KindOf(value []byte) Kind {
	if len(value) == 0 {
		return None
	}
	switch value[0] {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	}
	return Number
}

// IsNumber reports whether text is a JSON number (RFC 8259 §6).
func IsNumber(text []byte) bool {
	s := scanner{text: text}
	return s.number() == nil && s.end() == nil
}

func (k Kind) in(set Kind) bool { return k&set != 0 }

// isString reports whether value is a JSON string that stands for want, which must be ASCII.
func isString(value []byte, want string) bool {
	if !KindOf(value).in(String) {
		return false
	}
	inside := value[1 : len(value)-1]
	for ; len(inside) > 0 && len(want) > 0; want = want[1:] {
		c, size := rune(inside[0]), 1
		if c == '\\' {
			c, size = decodeEscape(inside)
		}
		if c != rune(want[0]) {
			return false
		}
		inside = inside[size:]
	}
	return len(inside) == 0 && len(want) == 0
}

// stringValue is what a valid JSON string stands for, in memory of its own. Lone surrogates become U+FFFD.
func stringValue(value []byte) string {
	inside := value[1 : len(value)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside)
	}
	text, _, _ := UnescapeText(make([]byte, 0, len(value)+outWindow), value[1:])
	return string(text)
}

// textValue is [stringValue], and an error where the string holds a lone surrogate: there is no text that it
// stands for.
func textValue(value []byte) (string, error) {
	text := stringValue(value)
	if strings.Contains(text, "\ufffd") && hasLoneSurrogate(value) {
		return "", fieldErrorf("holds a lone surrogate")
	}
	return text, nil
}

// hasLoneSurrogate reports whether any string of a valid JSON value holds an escape of a surrogate that is not
// one of a pair. Backslashes stand in strings only.
func hasLoneSurrogate(value []byte) bool {
	for {
		i := bytes.IndexByte(value, '\\')
		if i < 0 {
			return false
		}
		value = value[i:]
		r, size := decodeEscape(value)
		if unit, ok := decodeHex(value); ok && utf16.IsSurrogate(unit) && r == utf8.RuneError {
			return true
		}
		value = value[size:]
	}
}

// A scanner walks over JSON text (RFC 8259) and checks its grammar. It does not recurse and allocates
// nothing but errors.
type scanner struct {
	text    []byte
	at      int                     // the place in text
	depth   int                     // how many arrays and objects are open
	objects [maxNesting / 64]uint64 // bit n: what is open at depth n+1 is an object, no array
}

// errorf makes an error that tells the place.
func (s *scanner) errorf(format string, args ...any) error {
	if s.at >= len(s.text) {
		return fmt.Errorf("unexpected end, "+format, args...)
	}
	return fmt.Errorf(format+" at byte %d", append(args, s.at)...)
}

// space skips white space (§2).
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// peek is the next byte, 0 at the end: JSON has no place for it outside of strings.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// end checks that nothing but white space is left.
func (s *scanner) end() error {
	if s.space(); s.at < len(s.text) {
		return s.errorf("more than one value")
	}
	return nil
}

// elements walks over the array at s. element must step over one value each time.
func (s *scanner) elements(element func() error) error {
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if more, err := s.more(first); !more || err != nil {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

// members walks over the object at s. member gets the raw name of each and must step over its value.
func (s *scanner) members(member func(name []byte) error) error {
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if more, err := s.more(first); !more || err != nil {
			return err
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

// value steps over one value and returns its text.
func (s *scanner) value() ([]byte, error) {
	start, outside := s.at, s.depth
	for {
		opened, err := s.token()
		if err != nil {
			return nil, err
		}
		for more := false; !more; opened = false { // to the next value inside
			if s.depth == outside {
				return s.text[start:s.at], nil
			}
			if more, err = s.more(opened); err != nil {
				return nil, err
			}
		}
		if s.inObject() {
			if _, err := s.name(); err != nil {
				return nil, err
			}
		}
	}
}

// token steps over a scalar, or opens an array or an object.
func (s *scanner) token() (opened bool, err error) {
	switch c := s.peek(); c {
	case '[', '{':
		return true, s.open()
	case '"':
		_, err := s.string()
		return false, err
	case 't':
		return false, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case 'n':
		return false, s.literal("null")
	default:
		return false, s.number()
	}
}

// open steps into the array or object at s.
func (s *scanner) open() error {
	if s.depth == maxNesting {
		return s.errorf("nesting over %d", maxNesting)
	}
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	s.objects[word] &^= bit
	if s.text[s.at] == '{' {
		s.objects[word] |= bit
	}
	s.depth++
	s.at++
	return nil
}

// inObject reports whether the innermost of what is open is an object.
func (s *scanner) inObject() bool {
	return s.objects[(s.depth-1)/64]>>((s.depth-1)%64)&1 != 0
}

// more steps to the next element or member of what is open, or else over its end.
func (s *scanner) more(first bool) (bool, error) {
	closing := byte(']')
	if s.inObject() {
		closing = '}'
	}
	s.space()
	switch c := s.peek(); {
	case c == closing:
		s.at++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.at++
		s.space()
		return true, nil
	}
	return false, s.errorf("expected ',' or '%c'", closing)
}

// name steps over the name of a member, up to its value, and returns the name's text.
func (s *scanner) name() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.errorf("expected a name")
	}
	name, err := s.string()
	if err != nil {
		return nil, err
	}
	if s.space(); s.peek() != ':' {
		return nil, s.errorf("expected ':'")
	}
	s.at++
	s.space()
	return name, nil
}

func (s *scanner) string() ([]byte, error) {
	n, err := textEnd(s.text[s.at+1:])
	if err != nil {
		return nil, fmt.Errorf("%w at byte %d", err, s.at)
	}
	s.at += 1 + n
	return s.text[s.at-1-n : s.at], nil
}

func (s *scanner) literal(want string) error {
	if !bytes.HasPrefix(s.text[s.at:], []byte(want)) {
		return s.errorf("expected %s", want)
	}
	s.at += len(want)
	return nil
}

// number steps over a number (§6).
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	switch c := s.peek(); {
	case c == '0':
		s.at++
	case !s.digits():
		return s.errorf("expected a value")
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.errorf("expected a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.errorf("expected a digit")
		}
	}
	return nil
}

// digits steps over digits and reports whether there were any.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}
