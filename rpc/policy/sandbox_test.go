package policy

import (
	"testing"

	"github.com/runnel-rpc/runnel/session"
)

// TestSandbox: the server gets the profile and the home directory, for every command.
func TestSandbox(t *testing.T) {
	p := parse(t, "[principal.ci]\nshell = true\ndirectories = ['/']\nuser = 'build'\nsandbox = 'workspace'\n")
	for _, params := range []string{
		`{"command":"true"}`,
		`{"command":"true","sandbox":"off"}`, // the server refuses it
		`{"command":"true","sandbox":{"files":[{"path":".","access":"write","missing":"create"}]}}`,
	} {
		_, spec, err := decide(t, p, params)
		if want := (session.Floor{Profile: "workspace", Rule: "principal.ci.sandbox"}); err != nil || spec.Floor != want || spec.Home != "/home/build" {
			t.Errorf("%s: %+v, %q, %v", params, spec.Floor, spec.Home, err)
		}
	}
}

// TestNoSandbox: without a profile any sandbox is permitted that makes no directories.
func TestNoSandbox(t *testing.T) {
	for _, key := range []string{"", "sandbox = 'off'\n"} {
		p := parse(t, "[principal.ci]\nshell = true\ndirectories = ['/']\n"+key)
		if _, _, err := decide(t, p, `{"command":"true","sandbox":{"files":[{"path":".","access":"write"}]}}`); err != nil {
			t.Error(err)
		}
		_, _, err := decide(t, p, `{"command":"true","sandbox":{"files":[{"path":"/a","access":"read"},{"path":"/b","access":"read","missing":"create"}]}}`)
		refused(t, err, "principal.ci.sandbox", "sandbox.files[1].missing")
	}
}
