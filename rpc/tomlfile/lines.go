package tomlfile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Lines are the line numbers of the keys of a TOML file, by their paths as in
// principal.ci.programs[0].path. Parts of a path that are no bare keys are quoted: see [QuoteKey].
type Lines map[string]int

// lineReader collects the lines of a file.
type lineReader struct {
	ends  []int // the offsets of the newlines
	lines Lines
	isMap func(path string) bool // or nil
	count map[string]int         // of the elements of an array of tables
	odd   []string               // the paths of keys with upper-case letters, which the decoder takes for those in lower case
}

// linesOf returns the lines of a file that is valid TOML, and the keys that are not written exactly
// as they are defined.
func linesOf(text []byte, isMap func(path string) bool) (all Lines, odd []string) {
	l := lineReader{lines: Lines{}, isMap: isMap, count: map[string]int{}}
	for i, c := range text {
		if c == '\n' {
			l.ends = append(l.ends, i)
		}
	}
	var p unstable.Parser
	p.Reset(text)
	var table string
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = l.add(e, "")
		case unstable.ArrayTable:
			name := l.add(e, "")
			table = name + "[" + strconv.Itoa(l.count[name]) + "]"
			l.count[name]++
			l.set(table, e.Child().Raw)
		case unstable.KeyValue:
			l.keyValue(e, table)
		}
	}
	return l.lines, l.odd
}

// keyValue adds the key of an expression below table, and those of the inline tables of its value.
func (l *lineReader) keyValue(e *unstable.Node, table string) {
	l.value(e.Value(), l.add(e, table))
}

func (l *lineReader) value(v *unstable.Node, name string) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			l.keyValue(it.Node(), name)
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			element := name + "[" + strconv.Itoa(i) + "]"
			l.set(element, it.Node().Raw)
			l.value(it.Node(), element)
		}
	}
}

// add adds the key of a table or of a value, and returns its path. Below an array of tables a path
// continues with the last element.
func (l *lineReader) add(e *unstable.Node, table string) string {
	name := table
	var at unstable.Range
	for it := e.Key(); it.Next(); {
		if n := l.count[name]; n > 0 {
			name += "[" + strconv.Itoa(n-1) + "]"
		}
		part, free := string(it.Node().Data), l.isMap != nil && l.isMap(name)
		if name != "" {
			name += "."
		}
		name += QuoteKey(part)
		at = it.Node().Raw
		if !free && part != strings.ToLower(part) {
			l.set(name, at)
			l.odd = append(l.odd, name)
		}
	}
	l.set(name, at)
	return name
}

// set sets the line of a key, unless it is known: that of a table is its first.
func (l *lineReader) set(name string, at unstable.Range) {
	if l.lines[name] == 0 && at.Length > 0 {
		line, _ := slices.BinarySearch(l.ends, int(at.Offset))
		l.lines[name] = line + 1
	}
}

// Of returns the line of a key, or of the next larger part of its path that has one.
func (l Lines) Of(key string) int {
	for key != "" {
		if line := l[key]; line > 0 {
			return line
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 0
}

// QuoteKey returns a key in the form that TOML requires: names with other characters than letters,
// digits, - and _ are quoted.
func QuoteKey(name string) string {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return strconv.Quote(name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}
