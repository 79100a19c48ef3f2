package policy

import (
	"slices"
	"testing"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/session"
)

func TestFileAccess(t *testing.T) {
	p := parse(t, "[principal.ci]\nshell = true\ndirectories = ['/srv/work', '~/own']\nuser = 'build'\nsandbox = 'workspace'\n")
	f, err := p.FileAccess("ci", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/srv/work", "/home/build/own"}; !slices.Equal(f.Directories, want) || f.Rule != "principal.ci.directories" {
		t.Errorf("%v by %s, want %v", f.Directories, f.Rule, want)
	}
	if f.Account == nil || f.Account.Name != "build" || f.Floor != (session.Floor{Profile: "workspace", Rule: "principal.ci.sandbox"}) {
		t.Errorf("%+v, %+v", f.Account, f.Floor)
	}
	if _, err := NewGuard(p, nil).FileAccess(access.Identity{Principal: "ci"}); err != nil {
		t.Error(err)
	}
	own := parse(t, "[principal.ci]\nshell = true\ndirectories = ['/srv/work', '~/own']\n")
	if f, err := own.FileAccess("ci", nil); err != nil || f.Account != nil || !slices.Equal(f.Directories, []string{"/srv/work"}) || f.Floor != (session.Floor{}) {
		t.Errorf("as the server's user: %+v, %v", f, err)
	}
}

// TestNoFileAccess refuses files to whoever may not execute anything, and to whoever may execute listed
// programs only.
func TestNoFileAccess(t *testing.T) {
	for _, c := range []struct{ text, rule, field string }{
		{commandPolicy, "principal.ci.shell", "path"},
		{"[principal.ci]\nshell = true\ndirectories = ['/']\nmethods = ['status']\n", "principal.ci.methods", "method"},
		{"[principal.other]\nshell = true\ndirectories = ['/']\n", "default", "method"},
	} {
		_, err := parse(t, c.text).FileAccess("ci", nil)
		refused(t, err, c.rule, c.field)
	}
}
