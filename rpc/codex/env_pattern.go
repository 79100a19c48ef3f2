package codex

import "strings"

const (
	// maxPatterns bounds the patterns of an envPolicy, each of which every variable is compared with.
	maxPatterns = 64
	// maxPatternBytes is the longest pattern.
	maxPatternBytes = 256
	// maxSetVariables bounds envPolicy.set.
	maxSetVariables = 1024
	// maxMatchSteps bounds the comparisons of characters for one envPolicy, which take at most the
	// product of the lengths of all names and patterns.
	maxMatchSteps = 16 << 20
)

// envPattern is a prepared pattern: * is any text, ? any character, in any case, as in Codex.
type envPattern []rune

func preparePatterns(patterns []string) []envPattern {
	all := make([]envPattern, 0, len(patterns))
	for _, p := range patterns {
		all = append(all, []rune(strings.ToUpper(p)))
	}
	return all
}

// matcher compares names with patterns until its steps are used up.
type matcher struct{ steps int }

var errTooManySteps = invalidParams("envPolicy compares too much: its limit is %d characters", maxMatchSteps)

// any reports whether a name matches one of the patterns.
func (m *matcher) any(patterns []envPattern, name string) (bool, error) {
	text := []rune(strings.ToUpper(name))
	for _, p := range patterns {
		ok, err := m.match(p, text)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// match tries the shortest text for each *, and goes back to the last one only.
func (m *matcher) match(p envPattern, text []rune) (bool, error) {
	i, star, from := 0, -1, 0
	for at := 0; at < len(text); {
		if m.steps--; m.steps < 0 {
			return false, errTooManySteps
		}
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, at
			i++
		case i < len(p) && (p[i] == '?' || p[i] == text[at]):
			i++
			at++
		case star >= 0:
			from++
			i, at = star+1, from
		default:
			return false, nil
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p), nil
}
