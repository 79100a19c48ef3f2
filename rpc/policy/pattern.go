package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxPattern is the longest pattern of an argument in bytes.
	maxPattern = 4096
	// maxPatterns is the largest number of patterns of one program.
	maxPatterns = 256
)

// Pattern matches one argument, as a whole. Its syntax is that of [ParsePattern]. Matching takes
// time in proportion to the length of the argument.
type Pattern struct {
	// pieces are the literal texts between the wildcards; one piece is an exact match.
	pieces []string
	// option is set if a wildcard at the beginning may match an argument that begins with "-".
	option bool
	re     *regexp.Regexp // instead of the pieces, or nil
}

// ParsePattern parses a pattern. All characters stand for themselves except
//
//   - "*": any bytes, also none; a pattern that begins with one matches no argument that begins with
//     "-";
//   - "**": any bytes, also none;
//   - "\xHH": the byte with this value in hexadecimal, not 00;
//   - "\c": the character c, which is not a letter or a digit;
//   - "~RE" at the beginning: the rest is a regular expression of package regexp, which has to match
//     the whole argument, and in which "." also matches a newline.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	if len(text) > maxPattern {
		return p, fmt.Errorf("a pattern must have at most %d bytes, not %d", maxPattern, len(text))
	}
	if re, ok := strings.CutPrefix(text, "~"); ok {
		if _, err := regexp.Compile(re); err != nil { // first alone, so that it cannot close the group
			return p, err
		}
		var err error
		p.re, err = regexp.Compile(`(?s)\A(?:` + re + `)\z`)
		return p, err
	}
	err := p.parse(text)
	return p, err
}

// parse splits a pattern that is not a regular expression into its pieces.
func (p *Pattern) parse(text string) error {
	var piece strings.Builder
	for i := 0; i < len(text); {
		switch text[i] {
		case '*':
			n := len(text[i:]) - len(strings.TrimLeft(text[i:], "*"))
			if n > 2 {
				return errors.New("three * in a row: one or two are a wildcard")
			}
			p.option = p.option || i == 0 && n == 2
			p.pieces = append(p.pieces, piece.String())
			piece.Reset()
			i += n
		case '\\':
			c, n, err := unescape(text[i:])
			if err != nil {
				return err
			}
			piece.WriteByte(c)
			i += n
		case 0:
			return errors.New("a pattern must not contain NUL")
		default:
			piece.WriteByte(text[i])
			i++
		}
	}
	p.pieces = append(p.pieces, piece.String())
	return nil
}

// unescape returns the byte for which the escape sequence at the beginning of text stands, and the
// length of the sequence.
func unescape(text string) (c byte, n int, err error) {
	if len(text) < 2 {
		return 0, 0, errors.New(`\ at the end: write \\ for the character`)
	}
	switch c := text[1]; {
	case c == 'x' && len(text) >= 4:
		v, err := strconv.ParseUint(text[2:4], 16, 8)
		if err != nil || v == 0 {
			return 0, 0, fmt.Errorf("%q must be two hexadecimal digits, and not 00", text[:4])
		}
		return byte(v), 4, nil
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == 0:
		return 0, 0, fmt.Errorf(`unknown escape sequence %q: there are \xHH and \ before a character that is no letter or digit`, text[:2])
	default:
		return c, 2, nil
	}
}

// Match reports whether the pattern matches the whole argument.
func (p *Pattern) Match(arg string) bool {
	if p.re != nil {
		return p.re.MatchString(arg)
	}
	last := len(p.pieces) - 1
	if last == 0 {
		return arg == p.pieces[0]
	}
	if p.pieces[0] == "" && !p.option && strings.HasPrefix(arg, "-") {
		return false
	}
	rest, ok := strings.CutPrefix(arg, p.pieces[0])
	if !ok {
		return false
	}
	// The leftmost match of each piece leaves the most for those that follow.
	for _, piece := range p.pieces[1:last] {
		i := strings.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return strings.HasSuffix(rest, p.pieces[last])
}

// Arguments are the patterns of the arguments of a program, without its name.
type Arguments struct {
	each []Pattern
	rest *Pattern // of all further arguments; nil if there must not be any
	any  bool     // all arguments are permitted
}

// restMarker at the end of the last pattern applies it to all further arguments.
const restMarker = "..."

// ParseArguments parses a list of patterns, one for each argument. If the last one ends with "...",
// what is before it is the pattern of all further arguments, of which there may be none. Nil
// permits all arguments, an empty list that is not nil permits none.
func ParseArguments(list []string) (a Arguments, err error) {
	if list == nil {
		return Arguments{any: true}, nil
	}
	if len(list) > maxPatterns {
		return a, fmt.Errorf("at most %d patterns, not %d", maxPatterns, len(list))
	}
	list = slices.Clone(list)
	if n := len(list); n > 0 {
		if text, ok := strings.CutSuffix(list[n-1], restMarker); ok && !strings.HasPrefix(text, "~") {
			if text == "" {
				return a, fmt.Errorf("%q needs a pattern before it: *... are arguments that do not begin with -, **... are any", restMarker)
			}
			p, err := ParsePattern(text)
			if err != nil {
				return a, fmt.Errorf("pattern %d: %w", n, err)
			}
			a.rest, list = &p, list[:n-1]
		}
	}
	for i, text := range list {
		p, err := ParsePattern(text)
		if err != nil {
			return a, fmt.Errorf("pattern %d: %w", i+1, err)
		}
		a.each = append(a.each, p)
	}
	return a, nil
}

// Match reports whether the patterns permit the arguments. If they do not, bad is the index of the
// first argument that is not permitted, len(args) if there are too few.
func (a *Arguments) Match(args []string) (bad int, ok bool) {
	if a.any {
		return 0, true
	}
	for i := range a.each {
		if i >= len(args) || !a.each[i].Match(args[i]) {
			return i, false
		}
	}
	for i := len(a.each); i < len(args); i++ {
		if a.rest == nil || !a.rest.Match(args[i]) {
			return i, false
		}
	}
	return 0, true
}
