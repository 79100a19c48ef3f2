//go:build linux

package server_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// placeholders stand in a conversation for what differs between runs and machines, and for nothing
// else: ids that the server made (<session 1>, <connection 1>), places after pages (<place 1>),
// process ids (<pid 1>), times (<time>), memory (<bytes>), the lowest nice value (<nice>), and
// whether a command waits for input (<waiting>). They are numbered in the order in which they
// occur.
type placeholders struct {
	client string            // all messages of the client, whose ids are the same in each run
	names  map[string]string // of values
	values map[string]string // of names
	counts map[string]int    // by kind
}

func newPlaceholders(a *txtar.Archive) *placeholders {
	p := &placeholders{names: map[string]string{}, values: map[string]string{}, counts: map[string]int{}}
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "client") {
			p.client += strings.ToLower(string(f.Data))
		}
	}
	return p
}

const anyUUID = `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`

// varying matches what hide replaces: a member of an object, or an id anywhere. The largest
// memory size is a number or null, since the kernel does not always report it.
var varying = regexp.MustCompile(`"(?:connection_id":"` + anyUUID + `"|next":"\d+"|pid":\d+|pgid":\d+|(?:execution|user|system)_time":[-+.e\d]+` +
	`|(?:started_at|start)":"[^"]+"|time":[-+.e\d]+|max_rss_bytes":(?:\d+|null)|bytes":\d+|waiting_for_input":(?:true|null)|min_nice":-?\d+)|` + anyUUID)

// hide replaces values by placeholders in a message of the server.
func (p *placeholders) hide(text string) string {
	session := ""
	return varying.ReplaceAllStringFunc(text, func(found string) string {
		field, value, member := strings.Cut(found, ":")
		switch {
		case !member:
			session = found
			return p.id("session", found)
		case field == `"connection_id"`:
			return field + `:"` + p.id("connection", strings.Trim(value, `"`)) + `"`
		case field == `"next"`:
			return field + `:"` + p.name("place", strings.Trim(value, `"`)) + `"`
		case field == `"pid"` || field == `"pgid"`:
			return field + ":" + p.name("pid", session+" "+value) // a number may be used again
		case field == `"waiting_for_input"`: // depends on how far the process is
			return field + ":<waiting>"
		case field == `"max_rss_bytes"`, field == `"bytes"`: // on the disk, which depends on the length of a pid
			return field + ":<bytes>"
		case field == `"min_nice"`:
			return field + ":<nice>"
		}
		return field + ":<time>"
	})
}

// id returns the placeholder of an id, or the id itself if the client made it.
func (p *placeholders) id(kind, id string) string {
	if strings.Contains(p.client, id) {
		return id
	}
	return p.name(kind, id)
}

func (p *placeholders) name(kind, value string) string {
	if p.names[value] == "" {
		p.counts[kind]++
		p.names[value] = fmt.Sprintf("<%s %d>", kind, p.counts[kind])
		p.values[p.names[value]] = value
	}
	return p.names[value]
}

var placeholder = regexp.MustCompile(`<(?:session|connection|place) \d+>`)

// fill replaces placeholders by their values in a message of the client.
func (p *placeholders) fill(t *testing.T, line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(name string) string {
		if p.values[name] == "" {
			t.Fatalf("%s has no value yet", name)
		}
		return p.values[name]
	})
}
