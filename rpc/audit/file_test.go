package audit

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	for run := 1; run <= 2; run++ { // the second run appends
		l, err := Open(Options{Target: path})
		if err != nil {
			t.Fatal(err)
		}
		l.Write(&Stop{})
		l.Close()
		if n := strings.Count(contents(t, path), "\n"); n != run {
			t.Errorf("%d lines after %d runs", n, run)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestRefusedFiles: what is not a private regular file is not opened, and the start does not wait.
func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(at("readable"), nil, 0o600), os.Chmod(at("readable"), 0o644),
		os.WriteFile(at("target"), nil, 0o600), os.Symlink("target", at("link")),
		os.Symlink("missing", at("dangling")),
		syscall.Mkfifo(at("fifo"), 0o600),
		os.Mkdir(at("dir"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"readable": "mode 0644", "link": "symbolic link", "dangling": "symbolic link", "fifo": "regular", "dir": "directory",
		"none/audit": "no such file",
	} {
		if _, err := Open(Options{Target: at(name)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := Open(Options{Target: "/dev/full"}); err == nil {
		t.Error("/dev/full is accepted")
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(at("target"), 65534, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Target: at("target")}); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Errorf("a file of another user: %v", err)
		}
	}
}

// TestTornLine: what a crash or a full file system left of a line is completed by a newline.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(path, []byte(`{"v":1,"ti`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(Options{Target: path})
	if err != nil {
		t.Fatal(err)
	}
	l.Write(&Stop{})
	l.Close()
	if got := contents(t, path); !regexp.MustCompile(`^{"v":1,"ti\n{"v":1,"time":[^\n]*"stop"}\n$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

// TestPartialWrite: the rest of a line that was written in part is not written later, but the whole
// line is, on a line of its own.
func TestPartialWrite(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := &file{f: w}
	long := strings.Repeat("a", 1<<20) + "\n"
	var first [1]byte
	go func() { // the pipe takes a part only; then the write is ended
		_, _ = r.Read(first[:])
		_ = w.SetWriteDeadline(time.Now())
	}()
	n, err := f.write([]byte("first\n" + long))
	if n != len("first\n") || err == nil || !f.torn {
		t.Fatalf("%d bytes of whole lines, %v, torn %v", n, err, f.torn)
	}
	_ = w.SetWriteDeadline(time.Time{})
	text := make(chan string)
	go func() {
		b := make([]byte, 4<<20)
		total := 0
		for {
			n, err := r.Read(b[total:])
			if total += n; err != nil {
				text <- string(b[:total])
				return
			}
		}
	}()
	if n, err := f.write([]byte(long)); n != len(long) || err != nil {
		t.Fatal(n, err)
	}
	f.close()
	lines := strings.SplitAfter(string(first[:])+<-text, "\n")
	if len(lines) != 4 || lines[0] != "first\n" || lines[2] != long {
		t.Errorf("%d lines", len(lines))
	}
}

// TestReopenFile: after the file was renamed, lines are written to a new one. If that cannot be
// opened, the old one is used.
func TestReopenFile(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "audit"), filepath.Join(dir, "audit.1")
	l, err := Open(Options{Target: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Write(&Stop{})
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Fatal("a directory was opened")
	}
	l.Write(&Stop{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Write(&Stop{})
	l.Close()
	// Reopen is done before the lines that wait are written, so only the order is certain.
	all := contents(t, old) + contents(t, path)
	if strings.Count(all, "\n") != 3 || contents(t, path) == "" {
		t.Errorf("%q", all)
	}
}

func TestStream(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(Options{Target: "-", Stdout: w, Required: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // the log has a descriptor of its own
	if err := l.WriteRequired(&Stop{}); err != nil {
		t.Error(err)
	}
	_ = r.Close()
	if err := l.WriteRequired(&Stop{}); err == nil { // EPIPE
		t.Error("a line was written to a pipe without a reader")
	}
	l.Close()
}

func TestSyslog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	daemon := func() *net.UnixConn {
		_ = os.Remove(socket)
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	receive := func(c *net.UnixConn) string {
		b := make([]byte, 1<<20)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	c := daemon()
	s, err := openSyslog([]string{filepath.Join(t.TempDir(), "none"), socket})
	if err != nil {
		t.Fatal(err)
	}
	l := newLog(Options{Required: true}, s, maxSyslogLine)
	defer l.Close()
	want := regexp.MustCompile(`^<86>\w{3} [ \d]\d \d\d:\d\d:\d\d runnel\[\d+\]: {"v":1,.*"event":"(\w+)".*}$`)
	l.Write(&Stop{})
	l.Write(&Reload{What: "policy", Error: strings.Repeat("x", 1<<20)})
	for _, event := range []string{"stop", "reload"} {
		text := receive(c)
		if m := want.FindStringSubmatch(text); m == nil || m[1] != event || len(text) > maxSyslogLine+100 {
			t.Errorf("%d bytes: %.300q", len(text), text)
		}
	}
	_ = c.Close()
	if err := l.WriteRequired(&Stop{}); err == nil {
		t.Error("a line was written without a daemon")
	}
	c = daemon() // it is started again
	defer c.Close()
	if !strings.Contains(receive(c), `"stop"`) {
		t.Error("the line was not sent again")
	}
	if _, err := openSyslog([]string{filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a syslog daemon without a socket")
	}
}
