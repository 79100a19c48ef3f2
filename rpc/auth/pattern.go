package auth

import "strings"

// separators are the characters that * in a pattern does not match.
const separators = "/.:@"

// matches reports whether a name matches a pattern: ** stands for any characters, * for any except
// separators, and any other character for itself. The time is bounded by the product of the
// lengths.
func matches(pattern, name string) bool {
	// reached[i] is whether the pattern so far matches name[:i].
	reached := make([]bool, len(name)+1)
	reached[0] = true
	for len(pattern) > 0 {
		wildcard := pattern[0] == '*'
		all := strings.HasPrefix(pattern, "**")
		char := pattern[0]
		pattern = pattern[1:]
		if all {
			pattern = strings.TrimLeft(pattern, "*")
		}
		if wildcard {
			for i := range len(name) {
				if reached[i] && (all || !strings.ContainsRune(separators, rune(name[i]))) {
					reached[i+1] = true
				}
			}
			continue
		}
		for i := len(name); i > 0; i-- {
			reached[i] = reached[i-1] && name[i-1] == char
		}
		reached[0] = false
	}
	return reached[len(name)]
}
