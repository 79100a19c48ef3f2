package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
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

// KindOf returns the kind of value, which must be empty or one valid JSON value without white space
// around it.
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

// isString reports whether value is a JSON string whose text is want, which must be ASCII.
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

// stringValue returns a copy of the text of a valid JSON string. Lone surrogates become U+FFFD.
func stringValue(value []byte) string {
	inside := value[1 : len(value)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside)
	}
	text, _, _ := UnescapeText(make([]byte, 0, len(value)+outWindow), value[1:])
	return string(text)
}

// textValue is stringValue, but returns an error if the string contains a lone surrogate.
func textValue(value []byte) (string, error) {
	text := stringValue(value)
	if strings.Contains(text, "\ufffd") && hasLoneSurrogate(value) {
		return "", errLoneSurrogate()
	}
	return text, nil
}

func errLoneSurrogate() *FieldError { return fieldErrorf("contains a lone surrogate") }

// hasLoneSurrogate reports whether a string in a valid JSON value contains the escape of a
// surrogate that is not part of a pair. Backslashes occur in strings only.
func hasLoneSurrogate(value []byte) bool {
	for {
		i := bytes.IndexByte(value, '\\')
		if i < 0 {
			return false
		}
		value = value[i:]
		r, size := decodeEscape(value)
		if loneSurrogate(value, r) {
			return true
		}
		value = value[size:]
	}
}

// scanner steps over JSON text (RFC 8259) and checks its grammar. It does not recurse, and
// allocates only errors.
type scanner struct {
	text    []byte
	at      int                     // the position in text
	depth   int                     // the number of open arrays and objects
	objects [maxNesting / 64]uint64 // bit n is set if depth n+1 is an object, clear if it is an array
	long    []byte                  // the last string of at least longString bytes
	known   []byte                  // a valid string in text, which is not scanned again
}

// longString is the length from which on a string is remembered, so that it need not be scanned
// twice.
const longString = 256

// errorf returns an error with the position.
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

// peek returns the next byte, or 0 at the end. JSON allows no zero byte outside of strings.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// end checks that only white space follows.
func (s *scanner) end() error {
	if s.space(); s.at < len(s.text) {
		return s.errorf("more than one value")
	}
	return nil
}

// elements steps over an array. It calls element for each value, which element must step over.
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

// members steps over an object. It calls member with the raw name of each member; member must step
// over the value.
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

// Members calls member with the raw name and the raw value of each member of object, which must be
// valid JSON, until member returns false. long, if it is not nil, is the [Call.Long] of the call
// whose params object is.
func Members(object, long []byte, member func(name, value []byte) bool) {
	s := scanner{text: object, known: long}
	_ = s.members(func(name []byte) error {
		value, err := s.value()
		if err == nil && !member(name, value) {
			err = errStopped
		}
		return err
	})
}

var errStopped = errors.New("stopped")

// value steps over a value and returns its text.
func (s *scanner) value() ([]byte, error) {
	start, outside := s.at, s.depth
	for {
		opened, err := s.token()
		if err != nil {
			return nil, err
		}
		for more := false; !more; opened = false { // step to the next value inside, or out of what ends
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

// open steps into an array or object.
func (s *scanner) open() error {
	if s.depth == maxNesting {
		return s.errorf("nesting deeper than %d", maxNesting)
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

// inObject reports whether the innermost open array or object is an object.
func (s *scanner) inObject() bool {
	return s.objects[(s.depth-1)/64]>>((s.depth-1)%64)&1 != 0
}

// more steps to the next element or member, or over the end of the array or object.
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

// name steps over the name of a member and the colon, and returns the raw name.
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

// string steps over a string.
func (s *scanner) string() ([]byte, error) {
	if len(s.known) > 0 && &s.known[0] == &s.text[s.at] {
		s.at += len(s.known)
		return s.known, nil
	}
	n, err := textEnd(s.text[s.at+1:])
	if err != nil {
		return nil, fmt.Errorf("%w at byte %d", err, s.at)
	}
	s.at += 1 + n
	value := s.text[s.at-1-n : s.at]
	if len(value) >= longString {
		s.long = value
	}
	return value, nil
}

// literal steps over true, false or null.
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
