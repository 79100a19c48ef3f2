package audit

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	// MaxLineBytes is the longest line, with its newline.
	MaxLineBytes = 64 << 10
	// maxSyslogLine is the longest line that is sent to syslog: daemons cut longer messages.
	maxSyslogLine = 8 << 10
	// maxName is how many bytes of a short text are kept: a name, an address, a reason.
	maxName = 256
	// maxNames is what all short texts of a line, their names and its numbers take.
	maxNames = 4 << 10
	// maxListed is how many process ids are listed.
	maxListed = 100
)

// line is a line that is being encoded: the members of its JSON object that follow the header.
type line struct {
	b         []byte
	most      int      // bytes of a line
	full      bool     // with the arguments of commands
	truncated []string // the members that were cut
}

// room is what the long texts of a line may take together.
func (l *line) room() int { return l.most - maxNames }

// begin encodes an event.
func (l *line) begin(e Event, most int, full bool) {
	*l = line{b: l.b[:0], most: most, full: full, truncated: l.truncated[:0]}
	l.name("event", e.event())
	e.encode(l)
	l.end()
}

// end ends the line. It adds which members were cut.
func (l *line) end() {
	if len(l.truncated) > 0 {
		l.key("truncated")
		l.b = append(l.b, '[')
		for _, name := range l.truncated {
			l.b = appendQuoted(l.element(), name)
		}
		l.b = append(l.b, ']')
	}
	l.b = append(l.b, '}', '\n')
}

// key begins a member of an object. Names are constants of this package.
func (l *line) key(name string) {
	l.b = append(append(append(l.element(), '"'), name...), '"', ':')
}

// element begins an element: with a comma unless it is the first.
func (l *line) element() []byte {
	if n := len(l.b); n > 0 && l.b[n-1] != '{' && l.b[n-1] != '[' {
		l.b = append(l.b, ',')
	}
	return l.b
}

// object adds an object whose members are added by f.
func (l *line) object(name string, f func()) {
	l.key(name)
	l.b = append(l.b, '{')
	f()
	l.b = append(l.b, '}')
}

// name adds a short text, unless it is empty.
func (l *line) name(key, s string) {
	if s != "" {
		l.text(key, s, maxName)
	}
}

// text adds a text that takes at most room bytes. If it is not UTF-8, another member has its bytes.
func (l *line) text(key, s string, room int) {
	exact := !utf8.ValidString(s)
	s = l.cut(key, s, room, exact)
	l.key(key)
	l.b = appendQuoted(l.b, s)
	if exact {
		l.key(key + "_base64")
		l.b = appendBase64(l.b, s)
	}
}

// cut returns the prefix of s for which there is room.
func (l *line) cut(key, s string, room int, exact bool) string {
	n := prefix(s, room, exact)
	if n < len(s) {
		l.cutOff(key)
	}
	return s[:n]
}

func (l *line) cutOff(key string) {
	for _, name := range l.truncated {
		if name == key {
			return
		}
	}
	l.truncated = append(l.truncated, key)
}

// list adds a list of texts that takes at most room bytes. If one of them is not UTF-8, another
// member has the bytes of all.
func (l *line) list(key string, all []string, room int) {
	exact := false
	for _, s := range all {
		exact = exact || !utf8.ValidString(s)
	}
	kept := make([]string, 0, len(all))
	for _, s := range all {
		n := prefix(s, room, exact)
		if n < len(s) || room < 4*quotesBytes {
			l.cutOff(key)
		}
		if room < 4*quotesBytes {
			break
		}
		kept = append(kept, s[:n])
		room -= 2*quotesBytes + width(s[:n], exact)
		if n < len(s) {
			break
		}
	}
	l.key(key)
	l.strings(kept, appendQuoted)
	if exact {
		l.key(key + "_base64")
		l.strings(kept, appendBase64)
	}
}

// width returns how many bytes the characters of s take.
func width(s string, exact bool) (n int) {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		var escaped [12]byte
		n += len(appendRune(escaped[:0], r, size))
		i += size
	}
	if exact {
		n += 2*len(s) + 3
	}
	return n
}

func (l *line) strings(all []string, write func([]byte, string) []byte) {
	l.b = append(l.b, '[')
	for _, s := range all {
		l.b = write(l.element(), s)
	}
	l.b = append(l.b, ']')
}

func (l *line) number(key string, n int64) {
	l.key(key)
	l.b = strconv.AppendInt(l.b, n, 10)
}

// counted adds for how many requests the line stands, unless it is one.
func (l *line) counted(n int) {
	if n > 0 {
		l.number("count", int64(n))
	}
}

// counts adds an object of at most maxListed numbers. The names are constants of the server.
func (l *line) counts(key string, all map[string]int) {
	names := slices.Sorted(maps.Keys(all))
	if len(names) > maxListed {
		names = names[:maxListed]
		l.cutOff(key)
	}
	l.object(key, func() {
		for _, name := range names {
			l.b = append(appendQuoted(l.element(), name), ':')
			l.b = strconv.AppendInt(l.b, int64(all[name]), 10)
		}
	})
}

func (l *line) float(key string, f float64) {
	l.key(key)
	l.b = strconv.AppendFloat(l.b, f, 'f', -1, 64)
}

// flag adds a boolean.
func (l *line) flag(key string, v bool) {
	l.key(key)
	l.b = strconv.AppendBool(l.b, v)
}

func (l *line) null(key string) {
	l.key(key)
	l.b = append(l.b, "null"...)
}

// numbers adds a list of at most maxListed numbers.
func (l *line) numbers(key string, all []int) {
	if len(all) > maxListed {
		all = all[:maxListed]
		l.cutOff(key)
	}
	l.key(key)
	l.b = append(l.b, '[')
	for _, n := range all {
		l.b = strconv.AppendInt(l.element(), int64(n), 10)
	}
	l.b = append(l.b, ']')
}
