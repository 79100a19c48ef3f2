package rpc

import "github.com/google/uuid"

// MaxNameBytes is the longest name of a session.
const MaxNameBytes = 63

// ValidName reports whether a session may have that name: at most MaxNameBytes of a-z, 0-9, _, . and -,
// of which the first is a letter. A text that can be read as a UUID is not a name, because ids come
// first.
func ValidName(name string) bool {
	if _, err := uuid.Parse(name); err == nil || len(name) > MaxNameBytes {
		return false
	}
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '_' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return name != ""
}
