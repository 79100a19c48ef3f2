//go:build linux

package process

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// onTerminal returns spec with a terminal of 24 by 80 characters.
func onTerminal(spec Spec) Spec {
	spec.Terminal = &Terminal{Rows: 24, Cols: 80}
	return spec
}

// startTerminal starts a command on a terminal.
type startTerminal func(t testing.TB, spec Spec) *Process

// eachTerminal runs f without a sandbox, where the terminal is one of the machine, in namespaces, which
// have their own ones, and with Landlock alone.
func eachTerminal(t *testing.T, f func(t *testing.T, start startTerminal)) {
	t.Run("plain", func(t *testing.T) {
		f(t, func(t testing.TB, spec Spec) *Process { return mustStart(t, onTerminal(spec), leader.System()) })
	})
	t.Run("namespaces", func(t *testing.T) {
		h, c := openHost(t, Marker), readOnly()
		needNamespaces(t, h)
		c.Tmp = sandbox.Shared // for the files of the tests
		f(t, func(t testing.TB, spec Spec) *Process { return startOn(t, h, within(c, onTerminal(spec))) })
	})
	t.Run("landlock", func(t *testing.T) {
		h := openHost(t, Marker)
		withoutNamespaces(t, h)
		f(t, func(t testing.TB, spec Spec) *Process { return startOn(t, h, within(sharing(), onTerminal(spec))) })
	})
}

// lines reads all output of a terminal.
func lines(t testing.TB, p *Process) []string {
	t.Helper()
	out, err := readAll(p.Stdout())
	if err != nil {
		t.Errorf("after %q: %v", out, err)
	}
	return strings.Split(strings.TrimSuffix(out, "\r\n"), "\r\n")
}

// readUntil reads r until text was read, and returns everything that was read.
func readUntil(t testing.TB, r *Pipe, text string) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 4096)
	_ = r.SetReadDeadline(time.Now().Add(patience))
	defer r.SetReadDeadline(time.Time{})
	for !bytes.Contains(all, []byte(text)) {
		n, err := readReady(r, func() []byte { return buf })
		if err != nil {
			t.Fatalf("read %q, want %q in it: %v", all, text, err)
		}
		all = append(all, buf[:n]...)
	}
	return string(all)
}

// typeText writes text as if it was typed.
func typeText(t testing.TB, p *Process, text string) {
	t.Helper()
	_ = p.Stdin().SetWriteDeadline(time.Now().Add(patience))
	if _, err := p.Stdin().WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// typeEOF writes the VEOF character.
func typeEOF(t testing.TB, p *Process) {
	t.Helper()
	key, err := p.EOFKey()
	if err != nil || len(key) != 1 {
		t.Fatalf("EOFKey = %q, %v", key, err)
	}
	typeText(t, p, string(key))
}

// TestControllingTerminal checks that the leader has the terminal as its standard descriptors and
// as its controlling terminal, and leads its session and its foreground process group.
func TestControllingTerminal(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh(`for fd in 0 1 2; do test -t $fd && readlink /proc/self/fd/$fd; done | sort -u | wc -l
			ps -o sid=,pgid=,tpgid= -p $$; echo $$; : </dev/tty && echo ctty; ls -l /proc/self/fd | grep -c -e pts -e ptmx
			grep flags /proc/self/fdinfo/0`))
		if sid, err := unix.Getsid(p.PID()); sid != p.PID() || err != nil {
			t.Errorf("the session of %d is %d, %v", p.PID(), sid, err)
		}
		if p.Stderr() != nil || p.PGID() != p.PID() {
			t.Errorf("Stderr = %v, PGID = %d", p.Stderr(), p.PGID())
		}
		lines := lines(t, p)
		if len(lines) != 6 {
			t.Fatalf("output %q", lines)
		}
		pid := lines[2] // in a PID namespace another number than here
		if ids := strings.Fields(lines[1]); len(ids) != 3 || ids[0] != pid || ids[1] != pid || ids[2] != pid {
			t.Errorf("session, process group and foreground process group are %v, want %s", ids, pid)
		}
		if lines[3] != "ctty" || lines[4] != "2" { // standard output of ls is a pipe
			t.Errorf("%q", lines)
		}
		var flags int
		if _, err := fmt.Sscanf(lines[5], "flags: %o", &flags); err != nil || flags&(unix.O_NONBLOCK|unix.O_CLOEXEC) != 0 {
			t.Errorf("%q, %v: the terminal is non-blocking, or closed on exec", lines[5], err)
		}
	})
}

// TestTerminalName checks that the three descriptors have a name that exists where the command runs
// (ttyname(3)), that the command may open it, and that ps(1) knows it.
func TestTerminalName(t *testing.T) {
	users := map[string]*User{"own": nil}
	if os.Geteuid() == 0 {
		users["other"] = alice
	}
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		for name, user := range users {
			spec := sh(`for fd in 0 1 2; do test -t $fd && eval "tty <&$fd"; done; ps -o tty= -p $$; stat -c %u $(tty)
				echo written >$(tty); stty size <$(tty)`)
			spec.Dir, spec.User = "/", user
			p := start(t, spec)
			got := lines(t, p)
			uid := os.Geteuid()
			if user != nil {
				uid = int(user.UID)
			}
			path := got[0]
			want := []string{path, path, path, strings.TrimPrefix(path, "/dev/"), fmt.Sprint(uid), "written", "24 80"}
			if !slices.Equal(got, want) || !strings.HasPrefix(path, "/dev/pts/") {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			finish(p)
		}
	})
}

// TestTerminalsOfSandboxes checks that the terminals of two commands in sandboxes have the same name,
// and are different ones.
func TestTerminalsOfSandboxes(t *testing.T) {
	h := openHost(t, Marker)
	needNamespaces(t, h)
	spec := sandboxed(onTerminal(sh(`stty -echo; tty; read line; echo "$line" >/dev/pts/0; ls /dev/pts; read line`)))
	var started []*Process
	for range 2 {
		p := startOn(t, h, spec)
		readUntil(t, p.Stdout(), "/dev/pts/0\r\n")
		started = append(started, p)
	}
	for i, p := range started {
		typeText(t, p, fmt.Sprintf("terminal %d\n", i))
	}
	for i, p := range started {
		got := strings.Fields(readUntil(t, p.Stdout(), "ptmx"))
		if want := []string{"terminal", fmt.Sprint(i), "0", "ptmx"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTerm(t *testing.T) {
	for given, want := range map[string]string{"": DefaultTerm, "vt100": "vt100"} {
		spec := onTerminal(sh(`env | grep -a ^TERM`))
		spec.Env = append([]string{"TERM=dumb", "TERMINFO=x"}, spec.Env...)
		spec.Terminal.Term = given
		out, _, err := runSpec(spec)
		if want = "TERMINFO=x\r\nTERM=" + want + "\r\n"; out != want || err != nil {
			t.Errorf("%q: %q, %v", given, out, err)
		}
		if spec.Env[0] != "TERM=dumb" {
			t.Error("Start has changed the environment of the caller")
		}
	}
	spec := onTerminal(sh("true"))
	spec.Terminal.Term = "a\x00b"
	if _, err := (*Host)(nil).Start(spec); err == nil || err.(*SpawnError).Errno != syscall.EINVAL {
		t.Errorf("%v", err)
	}
}

func TestNoTerminal(t *testing.T) {
	p := mustStart(t, sh("exec sleep 60"), leader.System())
	if err := p.Resize(1, 1); err != ErrNoTerminal {
		t.Errorf("Resize without a terminal: %v", err)
	}
}

func TestResize(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh(`stty size; trap "stty size; exit 3" WINCH; echo ready; while :; do sleep 0.01; done`))
		if got := readUntil(t, p.Stdout(), "ready\r\n"); got != "24 80\r\nready\r\n" {
			t.Errorf("got %q", got)
		}
		if err := p.Resize(65535, 1); err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(p.Stdout()); got != "65535 1\r\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if exit := finish(p); exit.Code != 3 {
			t.Errorf("exit %+v", exit)
		}
		if err := p.Resize(1, 1); err != os.ErrClosed {
			t.Errorf("error after Close: %v, want os.ErrClosed", err)
		}
		if _, err := p.EOFKey(); err != os.ErrClosed {
			t.Errorf("error after Close: %v, want os.ErrClosed", err)
		}
	})
}

// awaitSleep waits until the tree executes sleep with that number of seconds.
func awaitSleep(t testing.TB, p *Process, seconds string) {
	t.Helper()
	if !poll(func() bool {
		pids, _ := p.Members()
		return slices.ContainsFunc(pids, func(pid int) bool {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return string(line) == "sleep\x00"+seconds+"\x00"
		})
	}) {
		t.Fatal("the tree does not execute sleep ", seconds)
	}
}

func TestEchoAndControlKeys(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh(`read line; echo "got $line"; trap "echo INT" INT; echo ready; sleep 61; echo after; exec sleep 62`))
		typeText(t, p, "helo\x7flo\n")
		if got := readUntil(t, p.Stdout(), "ready\r\n"); got != "helo\b \blo\r\ngot hello\r\nready\r\n" {
			t.Errorf("got %q", got)
		}
		awaitSleep(t, p, "61")
		typeText(t, p, "\x03")
		if got := readUntil(t, p.Stdout(), "after\r\n"); got != "^CINT\r\nafter\r\n" {
			t.Errorf("got %q", got)
		}
		awaitSleep(t, p, "62")
		typeText(t, p, "\x03")
		if err := p.WaitExit(); err != nil {
			t.Fatal(err)
		}
		if exit, _ := p.Reap(); exit.Signal != syscall.SIGINT {
			t.Errorf("exit %+v", exit)
		}
	})
}

// TestEraseOfUTF8Character checks that one erase removes a whole UTF-8 character (IUTF8).
func TestEraseOfUTF8Character(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh(`stty -echo; echo ready; read line; echo "got $line"`))
		readUntil(t, p.Stdout(), "ready\r\n")
		typeText(t, p, "aé\x7fb\n")
		if got := readUntil(t, p.Stdout(), "\n"); got != "got ab\r\n" {
			t.Errorf("got %q", got)
		}
	})
}

func TestEOFKey(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh(`stty -echo; echo ready; cat; echo one; stty eof '^A'; echo two; cat; echo three; read x; echo "got $x"; stty eof undef; echo four; exec sleep 60`))
		readUntil(t, p.Stdout(), "ready\r\n")
		typeText(t, p, "a\nb")
		typeEOF(t, p) // within a line it only passes on the text before it
		if got := readUntil(t, p.Stdout(), "b"); got != "a\r\nb" {
			t.Errorf("got %q", got)
		}
		typeEOF(t, p)
		readUntil(t, p.Stdout(), "two\r\n")
		if key, err := p.EOFKey(); string(key) != "\x01" || err != nil {
			t.Errorf("EOFKey = %q, %v after it was changed to ^A", key, err)
		}
		typeEOF(t, p)
		readUntil(t, p.Stdout(), "three\r\n")
		typeText(t, p, "more\n")
		readUntil(t, p.Stdout(), "got more\r\nfour\r\n")
		if key, err := p.EOFKey(); len(key) != 0 || err != nil {
			t.Errorf("EOFKey = %q, %v after it was disabled", key, err)
		}
	})
}

// TestTerminalOutputIsExact checks that output in raw mode, as of a full-screen program, is not
// changed.
func TestTerminalOutputIsExact(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		copy(data[1000:], "\x1b[2J\x1b[1;1H\x1b[?1049h\r\n\x00\x04\x03\xff")
		file := filepath.Join(t.TempDir(), "screen")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"raw", "-opost"} {
			p := start(t, sh("stty "+mode+"; exec cat "+file))
			out, err := readAll(p.Stdout())
			_ = p.WaitExit()
			exit := finish(p)
			if sha256.Sum256([]byte(out)) != sha256.Sum256(data) || exit.Code != 0 || err != nil {
				t.Errorf("%s: %d bytes of %d, %+v, %v", mode, len(out), len(data), exit, err)
			}
		}
	})
}

// TestTerminalInputIsExact checks that input larger than the buffer of the terminal arrives
// unchanged.
func TestTerminalInputIsExact(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		data := make([]byte, 1<<20)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		p := start(t, sh(fmt.Sprintf("stty raw -echo; echo ready; head -c %d | sha256sum", len(data))))
		readUntil(t, p.Stdout(), "ready\n")
		typeText(t, p, string(data))
		if got, want := readUntil(t, p.Stdout(), "\n"), fmt.Sprintf("%x  -\n", sha256.Sum256(data)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestLastOutputOfTerminal checks that output is read that was written immediately before the last
// slave was closed.
func TestLastOutputOfTerminal(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		for i := range rounds(20, 200) {
			p := start(t, sh("echo hi"))
			if i%2 == 0 {
				_ = p.WaitExit()
			}
			if out, err := readAll(p.Stdout()); out != "hi\r\n" || err != nil {
				t.Fatalf("run %d: %q, %v", i, out, err)
			}
			finish(p)
		}
	})
}

// TestCloseOfTerminalInterrupts checks that the close of standard input interrupts a write but no
// read, and that the close of standard output interrupts the read and hangs the tree up.
func TestCloseOfTerminalInterrupts(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh("stty raw -echo; echo ready; exec sleep 60"))
		readUntil(t, p.Stdout(), "ready\n")
		read, wrote := make(chan error), make(chan error)
		go func() {
			_, err := readReady(p.Stdout(), neverLend)
			read <- err
		}()
		go func() {
			_, err := p.Stdin().Write(make([]byte, 1<<20))
			wrote <- err
		}()
		_ = p.Stdin().Close()
		if err := <-wrote; err == nil {
			t.Error("a write that is blocked succeeds after the close of standard input")
		}
		select {
		case err := <-read:
			t.Errorf("the close of standard input has interrupted a read: %v", err)
		default:
		}
		if err := p.Resize(10, 10); err != nil {
			t.Errorf("Resize after the close of standard input: %v", err)
		}
		_ = p.Stdout().Close()
		if err := <-read; err != os.ErrClosed {
			t.Errorf("%v", err)
		}
		if !poll(func() bool { return state(p.PID()) == 'Z' }) { // by SIGHUP
			t.Error("the command does not end")
		}
	})
}

// TestEndOfTerminal checks that the output ends when the last slave is closed, even if the command
// runs on.
func TestEndOfTerminal(t *testing.T) {
	eachTerminal(t, func(t *testing.T, start startTerminal) {
		p := start(t, sh("echo bye; trap '' HUP; exec sleep 60 <&- >&- 2>&-"))
		if out, err := readAll(p.Stdout()); out != "bye\r\n" || err != nil {
			t.Errorf("output %q, %v", out, err)
		}
		if _, err := p.Stdout().TryRead(func() []byte { return make([]byte, 1) }); err != io.EOF {
			t.Errorf("%v", err)
		}
	})
}

// TestTerminalsCloseDescriptors checks that no descriptor is left after the end or a failed start.
func TestTerminalsCloseDescriptors(t *testing.T) {
	before := len(descriptors())
	for range 3 {
		finish(mustStart(t, onTerminal(sh("exit")), leader.System()))
		spec := onTerminal(sh("exit"))
		spec.Dir = "/nowhere"
		if _, err := (*Host)(nil).Start(spec); err == nil || err.(*SpawnError).Op != "chdir" {
			t.Errorf("%v", err)
		}
	}
	if after := descriptors(); len(after) > before {
		t.Errorf("%d descriptors before, %v after", before, after)
	}
}
