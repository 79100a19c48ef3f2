package screen_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/screen/screentest"
)

// tmux is a server of tmux of one test. It tells what a terminal shows after some output.
type tmux struct {
	t   testing.TB
	dir string
	n   int
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
	m := &tmux{t: t, dir: dir}
	m.run("new-session", "-d", "-s", "keep", "-x", "80", "-y", "24", "sleep 10000")
	t.Cleanup(func() {
		m.run("kill-server")
		_ = os.RemoveAll(dir)
	})
	m.run("set-option", "-g", "status", "off", ";", "set-option", "-g", "history-limit", "0")
	return m
}

func (m *tmux) run(args ...string) string {
	m.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", filepath.Join(m.dir, "socket"), "-f", "/dev/null"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=xterm-256color", "HOME=" + m.dir}
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
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
	file := filepath.Join(m.dir, name)
	if err := os.WriteFile(file, []byte(output), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := syscall.Mkfifo(file+".more", 0o600); err != nil {
		m.t.Fatal(err)
	}
	// tmux answers the query for the status, by four bytes, when it has processed all before.
	m.run("new-session", "-d", "-s", name, "-x", fmt.Sprint(cols), "-y", fmt.Sprint(rows),
		"stty raw -echo; for f in "+file+" "+file+".more; do cat $f; printf '\\033[5n'; "+
			"dd bs=1 count=4 of=$f.done 2>/dev/null; done; sleep 1000")
	m.await(file + ".done")
	shown := screentest.Normalize(m.run("capture-pane", "-e", "-p", "-t", name), true) + m.run("display-message", "-p", "-t", name, state)
	// What is erased beyond the last character is not captured, so the last column is written.
	more := "\x1b[0m\x1b(B\x0f\x1b[r\x1b[?6l\x1b[4l\x1b[?7l"
	for y := range rows {
		more += fmt.Sprintf("\x1b[%d;%dH|", y+1, cols)
	}
	if err := os.WriteFile(file+".more", []byte(more), 0); err != nil {
		m.t.Fatal(err)
	}
	m.await(file + ".more.done")
	return shown + screentest.Normalize(m.run("capture-pane", "-e", "-p", "-t", name, ";", "kill-session", "-t", name), false)
}

// await waits until a file has four bytes.
func (m *tmux) await(file string) {
	m.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		if info, err := os.Stat(file); err == nil && info.Size() == 4 {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatal("tmux does not read the output")
		}
		time.Sleep(time.Millisecond)
	}
}
