package screen_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/runnel-rpc/runnel/session/screen/screentest"
)

// tmuxTimeout bounds every wait for tmux.
const tmuxTimeout = time.Minute

// tmux is a server of tmux of one test. It tells what a terminal shows after some output. Its commands go through
// one client in control mode (tmux(1)), because a process for each of them takes longer than all else.
type tmux struct {
	t        testing.TB
	commands io.WriteCloser
	replies  *bufio.Reader
	n        int
}

// newTmux starts a server. Without tmux, the test is skipped, or fails if RUNNEL_TEST_REQUIRE has `terminals`.
func newTmux(t testing.TB) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if slices.Contains(strings.Split(os.Getenv("RUNNEL_TEST_REQUIRE"), ","), "terminals") {
			t.Fatalf("terminals is required: %v", err)
		}
		t.Skip("SKIPPED: ", err)
	}
	dir, err := os.MkdirTemp("", "tmux") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.Command("tmux", "-S", filepath.Join(dir, "socket"), "-f", "/dev/null", "-C",
		"new-session", "-s", "keep", "-x", "80", "-y", "24", "sleep", "10000")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=xterm-256color", "HOME=" + dir}
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	replies, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &tmux{t: t, commands: commands, replies: bufio.NewReader(replies)}
	t.Cleanup(func() {
		_, _ = io.WriteString(commands, "kill-server\n")
		_, _ = io.Copy(io.Discard, replies)
		_ = cmd.Wait()
	})
	m.run("set-option -g status off")
	m.run("set-option -g history-limit 0")
	return m
}

// run runs a command of tmux and returns what it prints.
func (m *tmux) run(command string) string {
	m.t.Helper()
	stuck := time.AfterFunc(tmuxTimeout, func() { _ = m.commands.Close() }) // the client then exits
	defer stuck.Stop()
	if _, err := io.WriteString(m.commands, command+"\n"); err != nil {
		m.t.Fatalf("tmux %s: %v", command, err)
	}
	// What a command prints is between "%begin TIME NUMBER FLAGS" and "%end" or "%error" with the same words. The
	// last one is 1 for a command that this client has sent.
	block, printed := "", ""
	for {
		line, err := m.replies.ReadString('\n')
		if err != nil {
			m.t.Fatalf("tmux %s: %v after %q", command, err, printed)
		}
		words := strings.TrimSuffix(line, "\n")
		switch {
		case block == "":
			if id, ok := strings.CutPrefix(words, "%begin "); ok && strings.HasSuffix(id, " 1") {
				block = id
			}
		case words == "%end "+block:
			return printed
		case words == "%error "+block:
			m.t.Fatalf("tmux %s: %s", command, printed)
		default:
			printed += line
		}
	}
}

// state are the parts of a terminal's state that tmux reports besides the cells.
const state = "cursor #{cursor_x},#{cursor_y} alternate #{alternate_on} visible #{cursor_flag} insert #{insert_flag} " +
	"cursor-keys #{keypad_cursor_flag} keypad #{keypad_flag} mouse #{mouse_standard_flag}#{mouse_button_flag}" +
	"#{mouse_all_flag} sgr #{mouse_sgr_flag} utf8 #{mouse_utf8_flag} origin #{origin_flag} wrap #{wrap_flag} " +
	"region #{scroll_region_upper},#{scroll_region_lower} tabs #{pane_tabs} title #{pane_title}"

// show returns what a terminal of a size shows after output: the cells with their attributes, and the state.
func (m *tmux) show(rows, cols int, output string) string {
	m.t.Helper()
	m.n++
	name := fmt.Sprint("s", m.n)
	terminal := m.open(name, rows, cols)
	defer terminal.Close()
	m.write(terminal, output)
	shown := screentest.Normalize(m.run("capture-pane -e -p -t "+name), true) + m.run("display-message -p -t "+name+" '"+state+"'")
	// What is erased beyond the last character is not captured, so the last column is written.
	more := "\x1b[0m\x1b(B\x0f\x1b[r\x1b[?6l\x1b[4l\x1b[?7l"
	for y := range rows {
		more += fmt.Sprintf("\x1b[%d;%dH|", y+1, cols)
	}
	m.write(terminal, more)
	shown += screentest.Normalize(m.run("capture-pane -e -p -t "+name), false)
	m.run("kill-session -t " + name)
	return shown
}

// open makes a session with a new terminal of a size, and opens the terminal as a program in it does.
func (m *tmux) open(name string, rows, cols int) *os.File {
	m.t.Helper()
	var path, pid string
	created := m.run(fmt.Sprintf("new-session -d -s %s -x %d -y %d -P -F '#{pane_tty} #{pane_pid}' sleep 1000", name, cols, rows))
	if _, err := fmt.Sscan(created, &path, &pid); err != nil {
		m.t.Fatalf("%v: %q", err, created)
	}
	// tmux sets up the terminal between fork and exec.
	for deadline := time.Now().Add(tmuxTimeout); ; time.Sleep(100 * time.Microsecond) {
		if comm, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil && string(comm) == "sleep\n" {
			break
		}
		if time.Now().After(deadline) {
			m.t.Fatal("the program of the pane does not start")
		}
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	if _, err := term.MakeRaw(fd); err != nil {
		m.t.Fatal(err)
	}
	return f
}

// write writes output to a terminal and waits until tmux has processed it.
func (m *tmux) write(terminal *os.File, output string) {
	m.t.Helper()
	if err := terminal.SetDeadline(time.Now().Add(tmuxTimeout)); err != nil {
		m.t.Fatal(err)
	}
	// tmux answers the query for the status when it has processed all before.
	if _, err := io.WriteString(terminal, output+"\x1b[5n"); err != nil {
		m.t.Fatal(err)
	}
	b, answer := make([]byte, 256), ""
	for !strings.HasSuffix(answer, "\x1b[0n") {
		n, err := terminal.Read(b)
		if err != nil {
			m.t.Fatalf("tmux does not read the output: %v", err)
		}
		answer += string(b[:n])
	}
}
