//go:build linux

package escape

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// work is something that commands have to be able to do in a workspace: everything is readable, the
// working directory and a private /tmp are writable, and there is no network.
type work struct {
	name  string
	tools []string // programs that it needs
	// prepare makes what the script needs.
	prepare func(t testing.TB, w *world)
	script  string // of sh; it has to succeed
	// keys are typed on a terminal when it shows the text shown.
	shown, keys string
	full        bool // only with RUNNEL_TEST_FULL=1: it takes seconds
	part        part // what the jail has to support; "" is nothing
	want        string
	made        string // a file in the workspace, and what it contains
	text        string
}

func workList() []work {
	const commit = `git init -q . && git config user.email a@b && git config user.name a && git add own &&
		git commit -qm first && `
	return []work{
		{name: "go build", tools: []string{"go"}, prepare: withModule, script: "go build -o lib.a ./lib && head -c 7 lib.a", want: "!<arch>"},
		{name: "go run", tools: []string{"go"}, full: true, prepare: withModule, script: "go run .", want: "hello from Go"},
		{name: "git commit", tools: []string{"git"},
			script: commit + "git log --format=%s", want: "first"},
		{name: "git clone", tools: []string{"git"},
			script: "mkdir a && cp own a && cd a && " + commit + "cd .. && git clone -q a b && cat b/own", want: "original"},
		{name: "tar", tools: []string{"tar"},
			script: "mkdir -p a/b && install -m 750 own a/b/own && tar cf a.tar a && rm -r a && tar xpf a.tar && cat a/b/own", want: "original"},
		{name: "a set-group-ID workspace", tools: []string{"git", "python3"},
			prepare: func(t testing.TB, w *world) {
				if err := unix.Chmod(w.Work, 0o2775); err != nil {
					t.Fatal(err)
				}
			},
			script: "umask 002; mkdir a && cp own a && cd a && " + commit + "cd .. && git clone -q a b && git init -q --shared c && " +
				"cp -r a d && install -d -m 775 e && python3 -m venv --without-pip v && cat b/own", want: "original"},
		{name: "python -m venv", tools: []string{"python3"},
			script: `python3 -m venv --without-pip v && v/bin/python -c 'import sys; print(sys.prefix)'`, want: "/v"},
		{name: "a test suite", tools: []string{"python3"},
			prepare: func(t testing.TB, w *world) {
				w.make(t, "work/test_x.py", `
import subprocess, tempfile, threading, unittest
class T(unittest.TestCase):
	def test_file(self):
		with tempfile.NamedTemporaryFile() as f: f.write(b"x")
	def test_process(self): self.assertEqual(subprocess.check_output(["echo", "x"]), b"x\n")
	def test_thread(self):
		t = threading.Thread(target=lambda: None); t.start(); t.join()
`)
			},
			script: "python3 -m unittest -v 2>&1", want: "OK"},
		{name: "locks in shared memory", tools: []string{"python3"}, part: ipc,
			script: `python3 -c 'import multiprocessing as m; q = m.get_context("fork").Queue(); q.put("put"); print(q.get(timeout=10))'`, want: "put"},
		{name: "a compiler", tools: []string{"cc"},
			prepare: func(t testing.TB, w *world) {
				w.make(t, "work/x.c", "#include <stdio.h>\nint main(void) { return puts(\"hello from C\") < 0; }\n")
			},
			script: "cc -O1 -o x x.c && ./x", want: "hello from C"},
		{name: "pipes and jobs of a shell", tools: []string{"bash"},
			script: `mkfifo f && (echo a >f &) && cat f && diff <(echo 1) <(echo 1) &&
				{ sleep 0 & kill -0 $!; wait; } && echo end | tee out`, want: "end", made: "out", text: "end\n"},
		{name: "an editor", tools: []string{"vim"}, script: "vim -u NONE -i NONE -N new",
			shown: "new", keys: "ihello\x1b:wq\r", made: "new", text: "hello\n"},
		{name: "another editor", tools: []string{"nano"}, script: "nano -I new",
			shown: "new", keys: "hello\x0f\r\x18", made: "new", text: "hello\n"},
		{name: "a shell with job control", tools: []string{"bash"}, script: "bash --norc -i", shown: "$",
			keys: "sleep 100\x1a\nkill %1; wait; echo do''ne >out; exit\n", made: "out", text: "done\n"},
		{name: "npm ci through the allow-list", tools: []string{"npm", "node"}, part: allowList, prepare: withRegistry,
			script: `npm ci --no-audit --no-fund --no-update-notifier && node -e 'console.log(require("stand-in"))'`, want: "hello from the registry"},
	}
}

// TestWork does real work in each jail, and without one.
func TestWork(t *testing.T) {
	all := append([]jail{plain}, availableJails(t)...)
	uid := os.Geteuid()
	if uid == 0 {
		uid = nobody
	}
	for _, work := range workList() {
		if work.full && os.Getenv("RUNNEL_TEST_FULL") == "" {
			continue
		}
		t.Run(work.name, func(t *testing.T) {
			t.Parallel()
			for _, tool := range work.tools {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skip("SKIPPED: ", err)
				}
			}
			for _, j := range all {
				if j.supports(work.part) {
					t.Run(j.name, func(t *testing.T) { work.do(t, j, uid) })
				}
			}
		})
	}
}

func (k *work) do(t *testing.T, j jail, uid int) {
	w := newWorld(t, uid, j.supports(nested))
	env := append(w.workspace(j), "HOME="+w.Work, "TERM=xterm")
	if k.prepare != nil {
		k.prepare(t, w)
	}
	shell := "sh"
	if slices.Contains(k.tools, "bash") {
		shell = "bash"
	}
	argv := []string{shell, "-c", k.script + " && echo 'escape: succeeded'"}
	r := j.start(t, w, command{argv: argv, env: env, terminal: k.keys != ""})
	out := k.drive(r)
	if k.keys == "" && (!strings.Contains(out, k.want) || !strings.Contains(out, "escape: succeeded")) {
		t.Errorf("it fails: %s", out)
	}
	if text, err := os.ReadFile(filepath.Join(w.Work, k.made)); k.made != "" && string(text) != k.text {
		t.Errorf("%s contains %q, %v: %q", k.made, text, err, out)
	}
}

// drive types the keys when the text is shown, and returns all output.
func (k *work) drive(r *running) string {
	var out bytes.Buffer
	buf := make([]byte, 4096)
	for k.keys != "" && !strings.Contains(out.String(), k.shown) {
		n, err := r.stdout.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			break
		}
	}
	_, _ = io.WriteString(r.stdin, k.keys)
	_, _ = io.Copy(&out, r.stdout)
	r.end()
	return out.String()
}

// workspace makes the sandbox that of the profile of this name, as far as the jail supports it, and
// returns the environment.
func (w *world) workspace(j jail) []string {
	w.config.Devices = sandbox.MinimalDevices
	if j.supports(nested) { // by mounts
		w.config.Tmp = sandbox.Private
		w.config.Files = append(w.config.Files, // of this program
			sandbox.Rule{Path: filepath.Dir(program), Access: sandbox.Read, Missing: sandbox.Refuse})
		return nil
	}
	_ = os.Mkdir(w.Work+"/tmp", 0o777)
	_ = w.own(w.Work + "/tmp")
	return []string{"TMPDIR=" + w.Work + "/tmp"}
}

// withModule makes a module with a program, and a package that needs nothing of the standard library.
func withModule(t testing.TB, w *world) {
	t.Helper()
	if err := errors.Join(os.Mkdir(w.Work+"/lib", 0o755), w.own(w.Work+"/lib")); err != nil {
		t.Fatal(err)
	}
	w.make(t, "work/go.mod", "module example.org/hello\n\ngo 1.26\n")
	w.make(t, "work/lib/lib.go", "package lib\n\nfunc F() int { return 1 }\n")
	w.make(t, "work/main.go", "package main\n\nfunc main() { println(\"hello from Go\") }\n")
}

// withRegistry makes a registry of npm with one package, and lets the command connect to it. It is
// at an address of this machine that is not a loopback one, which clients would not ask a proxy for.
func withRegistry(t testing.TB, w *world) {
	t.Helper()
	archive := packageArchive(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".tgz") {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(archive)
	}))
	address := hostAddress(t)
	listener, port := listenTCP(t, address)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	w.cleanup(server.Close)
	w.config.Network = sandbox.Network{Mode: sandbox.AllowList, Allow: []sandbox.Destination{{Host: address, Port: port}}}
	url := fmt.Sprintf("http://%s:%d/", address, port)
	sum := sha512.Sum512(archive)
	w.make(t, "work/.npmrc", "registry="+url+"\ncache="+w.Work+"/npm\n")
	w.make(t, "work/package.json", `{"name":"x","version":"1.0.0","dependencies":{"stand-in":"1.0.0"}}`)
	w.make(t, "work/package-lock.json", fmt.Sprintf(`{"name":"x","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{
"":{"name":"x","version":"1.0.0","dependencies":{"stand-in":"1.0.0"}},
"node_modules/stand-in":{"version":"1.0.0","resolved":"%sstand-in/-/stand-in-1.0.0.tgz","integrity":"sha512-%s"}}}`,
		url, base64.StdEncoding.EncodeToString(sum[:])))
}

// packageArchive makes an archive of a package of npm.
func packageArchive(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	archive := tar.NewWriter(z)
	for name, text := range map[string]string{
		"package/package.json": `{"name":"stand-in","version":"1.0.0"}`,
		"package/index.js":     `module.exports = "hello from the registry";`,
	} {
		err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		if err == nil {
			_, err = io.WriteString(archive, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
