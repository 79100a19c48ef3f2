package auth

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// table is one element of an array of tables in a file: [[name]] and its keys.
type table struct {
	name string
	line int
	// start and end are offsets: of the begin of the header's line, and of the end of the last key's
	// line. Comments that follow are not part of it.
	start, end int
}

// tablesOf returns the elements of the arrays of tables of a file that is valid TOML. A nested
// table, as in [principal.quotas], is part of the one before.
func tablesOf(text []byte) []table {
	var all []table
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Comment {
			continue
		}
		key := e.Key()
		if !key.Next() {
			continue
		}
		at := int(key.Node().Raw.Offset)
		if e.Kind == unstable.ArrayTable && key.IsLast() {
			start := bytes.LastIndexByte(text[:at], '\n') + 1
			all = append(all, table{name: string(key.Node().Data), line: 1 + bytes.Count(text[:start], []byte("\n")), start: start})
		}
		if n := len(all); n > 0 {
			all[n-1].end = len(text)
			if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
				all[n-1].end = at + i + 1
			}
		}
	}
	return all
}

// lineOf returns the line of the element i of the array of tables called name; 0 if it is unknown,
// because the array is written in another form.
func lineOf(text []byte, name string, i int) int {
	for _, t := range tablesOf(text) {
		if t.name != name {
			continue
		}
		if i == 0 {
			return t.line
		}
		i--
	}
	return 0
}
