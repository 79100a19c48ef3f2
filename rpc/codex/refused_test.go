//go:build linux

package codex_test

import (
	"fmt"
	"maps"
	"testing"
)

// testMessagesThatAreNotAllowed checks what becomes of messages that are malformed, or that come at the
// wrong time: each on a connection of its own, which is used afterwards.
func testMessagesThatAreNotAllowed(t *testing.T, s *service) {
	for _, text := range []string{
		`nonsense`, `[]`, `"text"`, `{"id":1}`, `{"id":1,"method":7}`, `{"id":1.5,"method":"environment/status"}`,
		`{"id":null,"method":"environment/status"}`, `{"id":7,"method":"environment/status","params":[]}`,
		`{"id":7,"method":"no/method","params":{}}`, `{"method":"process/write"}`,
		`{"id":7,"method":"initialize","params":{"clientName":"test"}}`,
	} {
		c := s.client()
		s.expect(t, text, c.fate(text), "an error, and the connection is kept")
	}
	for _, text := range []string{`{"id":7,"method":"environment/status"}`, `{"method":"initialized"}`, `nonsense`} {
		s.expect(t, "before initialize: "+text, s.connect("").fate(text), "an error, and the connection is kept")
	}
}

// fate sends a message, and returns what becomes of it and of the connection.
func (p *peer) fate(text string) (fate string) {
	p.t.Helper()
	p.send(text)
	for {
		p.send(`{"id":"after","method":"environment/status","params":{}}`)
		m, err := p.read()
		switch {
		case err != nil:
			return fate + "the connection is closed"
		case string(m.ID) == `"after"`:
			return fate + "the connection is kept"
		case m.Error != nil:
			fate += "an error, and "
		default:
			fate += "a result, and "
		}
	}
}

// testStartsThatAreRefused checks starts with params that are wrong or not supported.
func testStartsThatAreRefused(t *testing.T, s *service) {
	c := s.client()
	c.start("p", "true")
	c.ended("p")
	policy := map[string]any{"inherit": "some", "ignoreDefaultExcludes": true, "exclude": []string{}, "set": map[string]string{}, "includeOnly": []string{}}
	for name, refused := range map[string]struct {
		change map[string]any
		code   int
	}{
		"an id that exists":           {map[string]any{"processId": "p"}, -32600},
		"an empty id":                 {map[string]any{"processId": ""}, -32602},
		"no argv":                     {map[string]any{"argv": []string{}}, -32602},
		"NUL in argv":                 {map[string]any{"argv": []string{"/bin/echo", "a\x00b"}}, -32602},
		"a cwd that is no URI":        {map[string]any{"cwd": "tmp"}, -32602},
		"a cwd on a host":             {map[string]any{"cwd": "file://host/tmp"}, -32602},
		"a cwd with an encoded slash": {map[string]any{"cwd": "file:///tmp%2f.."}, -32602},
		"another arg0":                {map[string]any{"arg0": "other"}, -32602},
		"an unknown inherit":          {map[string]any{"envPolicy": policy}, -32602},
		"a name with =":               {map[string]any{"env": map[string]string{"A=B": "x"}}, -32602},
		"a program that is not there": {map[string]any{"argv": []string{"/does/not/exist"}}, -32603},
	} {
		params := command(name, "true")
		maps.Copy(params, refused.change)
		s.expect(t, "process/start with "+name, c.outcome("process/start", params), fmt.Sprint("error ", refused.code))
	}
}
