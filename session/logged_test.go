package session

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestLogged: a line about a session has its id, and its name and its trace if it has them.
func TestLogged(t *testing.T) {
	for want, spec := range map[string]Spec{
		`{"level":"warn","session":"a"}`:                 {ID: "a"},
		`{"level":"warn","session":"a","trace_id":"4b"}`: {ID: "a", TraceID: "4b"},
		`{"level":"warn","session":"a","name":"b"}`:      {ID: "a", Name: "b"},
	} {
		var out strings.Builder
		log := zerolog.New(&out)
		(&Session{spec: spec}).logged(log.Warn()).Send()
		if got := strings.TrimSpace(out.String()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
