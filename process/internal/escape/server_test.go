//go:build linux

package escape

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// serverAttempts reach files of the server, which no rule gives access to.
func serverAttempts() []attempt {
	withRule := func(name string, path func(w *world) string, access sandbox.Access) attempt {
		return attempt{name: name, part: server, prepare: withToken, mayRefuse: true, escaped: leaked,
			rules: func(w *world) {
				w.Str["token"] = tokenOf(w)
				if path != nil {
					w.config.Files = append(w.config.Files, sandbox.Rule{Path: path(w), Access: access, Missing: sandbox.Skip})
				}
			},
			try: func(w *world) error { return read(w.Str["token"]) }}
	}
	token := func(w *world) string { return w.Str["token"] }
	dir := func(*world) string { return serverDir() }
	parent := func(*world) string { return base }
	moved := withRule("read a file of the server by moving its directory", parent, sandbox.Write)
	moved.try = func(w *world) error {
		to := filepath.Dir(serverDir()) + "/moved"
		return errors.Join(os.Rename(serverDir(), to), read(filepath.Join(to, filepath.Base(w.Str["token"]))))
	}
	moved.inside, moved.root = true, true // the others use the directory, which belongs to root
	return []attempt{
		withRule("read a file of the server", nil, ""),
		withRule("read a file of the server with a rule for it", token, sandbox.Read),
		withRule("read a file of the server with a rule for writing to it", token, sandbox.Write),
		withRule("read a file of the server with a rule for its directory", dir, sandbox.Read),
		withRule("read a file of the server with a rule above it", parent, sandbox.Write),
		moved,
	}
}

// tokenOf returns the path of a file in the directory of the server, which is another one in each world.
func tokenOf(w *world) string { return filepath.Join(serverDir(), filepath.Base(filepath.Dir(w.Work))) }

// withToken makes a file in the directory of the server.
func withToken(t testing.TB, w *world) {
	t.Helper()
	if err := errors.Join(os.WriteFile(w.Str["token"], []byte(w.secret), 0o644), w.own(w.Str["token"])); err != nil {
		t.Fatal(err)
	}
	w.cleanup(func() { _ = os.Remove(w.Str["token"]) })
}
