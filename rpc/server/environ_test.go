//go:build linux

package server_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
)

// TestPWD: PWD is the directory in which a command is started, as the client spelled it.
func TestPWD(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"real", "real/sub", "real/\xff"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(link) // it sets PWD too, so the server's directory has a symbolic link in it
	s := serve(t, func(set *settings) {
		set.Server.Defaults.Environ = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "PWD=/stale"}
	})
	p := s.dial(t)
	for name, c := range map[string]struct {
		params object
		want   string
	}{
		"the server's":            {object{}, link},
		"with another variable":   {object{"env": object{"A": "b"}}, link},
		"cwd":                     {object{"cwd": "/usr/share"}, "/usr/share"},
		"cwd and a variable":      {object{"cwd": "/usr/share", "env": object{"A": nil}}, "/usr/share"},
		"a symbolic link":         {object{"cwd": link + "/sub"}, link + "/sub"},
		"relative":                {object{"cwd": "sub"}, link + "/sub"},
		"relative, dots":          {object{"cwd": "./sub//."}, link + "/sub"},
		"dot":                     {object{"cwd": "."}, link},
		"dot-dot is not resolved": {object{"cwd": ".."}, link + "/.."},
		"the root":                {object{"cwd": "//"}, "/"},
		"not UTF-8":               {object{"cwd": object{"base64": base64.StdEncoding.EncodeToString([]byte("./\xff"))}, "encoding": "base64"}, link + "/\xff"},
		"set by env":              {object{"cwd": "/usr", "env": object{"PWD": "/elsewhere"}}, "/elsewhere"},
	} {
		x := p.run(with(c.params, "command", []string{"printenv", "PWD"}))
		if got := x.stdout(); got != c.want+"\n" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for name, params := range map[string]object{
		"unset":          {"env": object{"PWD": nil}},
		"unset with cwd": {"env": object{"PWD": nil}, "cwd": "/"},
	} {
		x := p.run(with(params, "command", []string{"printenv", "PWD"}))
		if x.stdout() != "" || x.record.ExitCode == nil || *x.record.ExitCode != 1 {
			t.Errorf("%s: %q, %+v", name, x.stdout(), x.record)
		}
	}
}
