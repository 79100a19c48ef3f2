//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// needPrograms skips a test of terminals on a machine without the programs: see skipUnlessRequired.
func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			skipUnlessRequired(t, "terminals", "%v", err)
		}
	}
}

// tmux is a server of tmux, in whose panes programs run. Its directory is that of a testDir.
type tmux struct {
	t    *testing.T
	dir  *testDir
	next int
}

func newTmux(t *testing.T, p *testDir) *tmux {
	t.Helper()
	needPrograms(t, "tmux")
	x := &tmux{t: t, dir: p}
	config := "set -g exit-empty off\nset -g status off\nset -g remain-on-exit on\nset -g default-terminal screen-256color\nset -g escape-time 0\n"
	if err := os.WriteFile(p.path("tmux.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = x.command("kill-server").Run()
		gone := func() bool { return x.command("list-sessions").Run() != nil }
		if !poll(gone) {
			t.Error("the server of tmux has not ended")
		}
	})
	return x
}

func (x *tmux) command(args ...string) *exec.Cmd {
	cmd := exec.Command("tmux", append([]string{"-u", "-S", x.dir.path("tmux"), "-f", x.dir.path("tmux.conf")}, args...)...)
	cmd.Dir, cmd.Env = x.dir.dir, append(x.dir.env(), "LC_ALL=C.UTF-8", "TERM=xterm-256color")
	return cmd
}

func (x *tmux) do(args ...string) string {
	x.t.Helper()
	text, err := x.command(args...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v: %s", args, err, text)
	}
	return string(text)
}

// pane is a terminal.
type pane struct {
	x  *tmux
	id string
}

// open runs a command in a new pane of that size.
func (x *tmux) open(cols, rows int, command ...string) *pane {
	x.t.Helper()
	x.next++
	name := fmt.Sprintf("pane%d", x.next)
	x.do("new-session", "-d", "-s", name, "-x", fmt.Sprint(cols), "-y", fmt.Sprint(rows), "exec "+quoteAll(command))
	return &pane{x, name}
}

// quoteAll returns a command line for a shell.
func quoteAll(command []string) string {
	quoted := make([]string, len(command))
	for i, arg := range command {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

func (p *pane) resize(cols, rows int) {
	p.x.t.Helper()
	p.x.do("resize-window", "-t", p.id, "-x", fmt.Sprint(cols), "-y", fmt.Sprint(rows))
}

// keys presses keys, as tmux names them.
func (p *pane) keys(keys ...string) {
	p.x.t.Helper()
	p.x.do(append([]string{"send-keys", "-t", p.id}, keys...)...)
}

// text types characters.
func (p *pane) text(text string) {
	p.x.t.Helper()
	p.x.do("send-keys", "-t", p.id, "-l", "--", text)
}

// kill closes the terminal.
func (p *pane) kill() {
	p.x.t.Helper()
	p.x.do("kill-session", "-t", p.id)
}

// shown returns what the pane shows, with its attributes and the cursor.
func (p *pane) shown() string {
	p.x.t.Helper()
	return p.colored() + p.cursor()
}

// cursor returns where the cursor is, and the size of the pane.
func (p *pane) cursor() string {
	p.x.t.Helper()
	return p.x.do("display-message", "-t", p.id, "-p",
		"cursor #{cursor_x},#{cursor_y} visible #{cursor_flag} alternate #{alternate_on} size #{pane_width}x#{pane_height}")
}

// colored returns what the pane shows, with its attributes.
func (p *pane) colored() string {
	p.x.t.Helper()
	return p.x.do("capture-pane", "-t", p.id, "-e", "-p")
}

// plain returns the text that the pane shows.
func (p *pane) plain() string {
	p.x.t.Helper()
	return p.x.do("capture-pane", "-t", p.id, "-p")
}

// await waits until the pane shows a text.
func (p *pane) await(text string) {
	p.x.t.Helper()
	if !poll(func() bool { return strings.Contains(p.plain(), text) }) {
		p.x.t.Fatalf("the pane does not show %q:\n%s", text, p.plain())
	}
}

// expectSame waits until both panes show the same.
func (p *pane) expectSame(want *pane, what string) {
	p.x.t.Helper()
	if !poll(func() bool { return p.shown() == want.shown() }) {
		p.x.t.Fatalf("%s: the pane shows\n%s\nwant\n%s", what, p.shown(), want.shown())
	}
}

// modes returns the modes of the pane's terminal, its colors and its title.
func (p *pane) modes() string {
	p.x.t.Helper()
	return p.x.do("display-message", "-t", p.id, "-p", "alternate #{alternate_on} cursor #{cursor_flag} insert #{insert_flag} "+
		"keypad #{keypad_flag},#{keypad_cursor_flag} origin #{origin_flag} wrap #{wrap_flag} mouse #{mouse_any_flag} region #{scroll_region_upper},#{scroll_region_lower} "+
		"colors #{pane_fg},#{pane_bg} title #{pane_title}")
}

// numberedFile writes a file of numbered lines.
func (x *tmux) numberedFile(name string, lines int) {
	x.t.Helper()
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "line %d of the file, with some more words to make it long enough for the wide terminal\n", i+1)
	}
	if err := os.WriteFile(filepath.Join(x.dir.dir, name), []byte(b.String()), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// openShell runs a command line in a new pane, and then reports for expectRestored.
func (x *tmux) openShell(cols, rows int, line string) *pane {
	x.t.Helper()
	return x.open(cols, rows, "sh", "-c", `before=$(stty -g); `+line+`; status=$?
		test "$(stty -g)" = "$before" && settings=same || settings=changed
		echo "status $status, settings $settings"; exec sleep 1000`)
}

// expectRestored checks that the command line of openShell has exited with a status, and that the terminal
// is as it was before.
func (p *pane) expectRestored(status int) {
	p.x.t.Helper()
	p.await(fmt.Sprintf("status %d, settings same", status))
	size := p.x.do("display-message", "-t", p.id, "-p", "#{pane_width} #{pane_height}")
	var cols, rows int
	if _, err := fmt.Sscan(size, &cols, &rows); err != nil {
		p.x.t.Fatal(err)
	}
	unused := p.x.open(cols, rows, "sleep", "1000")
	if got, want := p.modes(), unused.modes(); got != want {
		p.x.t.Errorf("the terminal has the modes\n%swant\n%s", got, want)
	}
}

// kill sends a signal to a process.
func kill(t *testing.T, pid string, sig syscall.Signal) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, sig); err != nil {
		t.Fatal(err)
	}
}
