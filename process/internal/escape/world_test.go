//go:build linux

package escape

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// world is what is outside of the sandbox of one command, which belongs to the command's user. The
// exported fields are given to the command.
type world struct {
	Work     string // writable, and the working directory
	Readable string // read-only
	Outside  string // below no rule: read-only, or invisible if files_default is "none"
	Hidden   string // below a rule with "none"
	Program  string // this program
	Str      map[string]string
	Num      map[string]int
	// Nested is true if there are rules below Work: Work/ro and Work/p/ro are read-only, and
	// Work/none is hidden.
	Nested bool

	uid      int
	secret   string // in files named secret, and sent by servers
	config   *sandbox.Config
	cleanups []func()
	victim   *victim
	other    *process.Process // in another sandbox
	fd       map[string]int   // sockets of servers, FIFOs
}

const firstUser, manyUsers = 50000, 10000

var usedUsers atomic.Int32

const original = "original\n"

// newWorld makes the directories and the sandbox of one command.
func newWorld(t testing.TB, uid int, nested bool) *world {
	t.Helper()
	dir, err := os.MkdirTemp(base, "w")
	if err != nil {
		t.Fatal(err)
	}
	if uid == nobody { // one that no other command has at the same time
		uid = firstUser + int(usedUsers.Add(1))%manyUsers
	}
	w := &world{
		Work: dir + "/work", Readable: dir + "/readable", Outside: dir + "/outside", Hidden: dir + "/hidden",
		Program: program, Str: map[string]string{}, Num: map[string]int{}, Nested: nested,
		uid: uid, secret: "secret-" + rand.Text(), fd: map[string]int{},
	}
	t.Cleanup(func() { w.close(dir) })
	for _, name := range []string{"work/ro", "work/none", "work/p/ro", "readable", "outside", "hidden/sub"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	for _, name := range []string{"work/own", "work/ro/file", "work/p/ro/file", "readable/file", "outside/file"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(original), 0o644))
	}
	for _, name := range []string{"work/none/secret", "hidden/secret", "hidden/sub/secret", "outside/secret"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(w.secret), 0o644))
	}
	if err = errors.Join(err, w.own(dir)); err != nil {
		t.Fatal(err)
	}
	w.config = w.defaults()
	return w
}

// defaults is the sandbox of all attempts that do not change it.
func (w *world) defaults() *sandbox.Config {
	c := &sandbox.Config{
		FilesDefault: sandbox.Read, Network: sandbox.Network{Mode: sandbox.NoNetwork},
		Processes: sandbox.Own, Tmp: sandbox.Shared, Devices: sandbox.MinimalDevices,
		UnixSockets: sandbox.NoUnixSockets, Metadata: sandbox.WritableMetadata, Files: []sandbox.Rule{
			{Path: w.Work, Access: sandbox.Write, Missing: sandbox.Refuse},
			{Path: w.Readable, Access: sandbox.Read, Missing: sandbox.Refuse},
			{Path: w.Hidden, Access: sandbox.None, Missing: sandbox.Refuse},
		},
	}
	if w.Nested {
		c.Files = append(c.Files,
			sandbox.Rule{Path: w.Work + "/ro", Access: sandbox.Read, Missing: sandbox.Refuse},
			sandbox.Rule{Path: w.Work + "/p/ro", Access: sandbox.Read, Missing: sandbox.Refuse},
			sandbox.Rule{Path: w.Work + "/none", Access: sandbox.None, Missing: sandbox.Refuse})
	}
	return c
}

// hideByDefault makes everything invisible but what programs need.
func hideByDefault(w *world) {
	w.config.FilesDefault = sandbox.None
	for _, path := range []string{"/usr", "/bin", "/lib", "/lib64", "/etc", filepath.Dir(program)} {
		w.config.Files = append(w.config.Files, sandbox.Rule{Path: path, Access: sandbox.Read, Missing: sandbox.Skip})
	}
}

// own gives all files of a directory to the user of the command.
func (w *world) own(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, w.uid, w.uid))
	})
}

func (w *world) cleanup(f func()) { w.cleanups = append(w.cleanups, f) }

func (w *world) close(dir string) {
	for i := len(w.cleanups) - 1; i >= 0; i-- {
		w.cleanups[i]()
	}
	for _, fd := range w.fd {
		_ = unix.Close(fd)
	}
	_ = os.RemoveAll(dir)
}

const worldVariable = "ESCAPE_WORLD"

func (w *world) env(t testing.TB) string {
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return worldVariable + "=" + string(text)
}

func worldFromEnv() (*world, error) {
	w := &world{}
	err := json.Unmarshal([]byte(os.Getenv(worldVariable)), w)
	return w, err
}

// read prints a file.
func read(path string) error {
	text, err := os.ReadFile(path)
	_, _ = os.Stdout.Write(text)
	return err
}

// write changes a file.
func write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("escaped!\n")
	return errors.Join(err, f.Close())
}

// changed returns a check that one of the files outside is not as it was made.
func changed(names ...string) func(w *world, _ string) bool {
	return func(w *world, _ string) bool {
		for _, name := range names {
			text, _ := os.ReadFile(filepath.Join(filepath.Dir(w.Work), name))
			if string(text) != original {
				return true
			}
		}
		return false
	}
}

// exists returns a check that a file outside exists.
func exists(name string) func(w *world, _ string) bool {
	return func(w *world, _ string) bool {
		_, err := os.Lstat(filepath.Join(filepath.Dir(w.Work), name))
		return err == nil
	}
}

// path returns the path of a name relative to the directory of all directories of the world.
func (w *world) path(name string) string { return filepath.Join(filepath.Dir(w.Work), name) }
