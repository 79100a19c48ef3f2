//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
)

// castScript draws with colors and cursor moves, waits until its terminal has another size, and draws
// again. The file in its argument exists when it waits.
const castScript = `printf 'one\r\n\033[31mred\033[0m \033[1;44mbold on blue\033[0m \303\251 \342\234\223\r\n'
sleep 0.3
printf '\033[8;20Hmoved\033[3D\033[7mX\033[0m\033[K'
: >"$1"
while test "$(stty size)" != '18 60'; do sleep 0.02; done
printf '\033[12;5H\342'; sleep 0.1; printf '\234\223 wide: \344\270\255\346\226\207\033[2;1Hover'
for i in 1 2 3 4 5 6; do printf '\033[15;%dH\033[3%dm#' $((i * 3)) $i; sleep 0.05; done
printf '\033[0m\033[5;1Hthe end'
`

// pane is a pane of tmux.
type pane struct {
	t      *testing.T
	socket string
	env    []string
}

// inPane runs a command in a pane of that size. The pane stays when the command has ended.
func (p *testDir) inPane(t *testing.T, name string, size pty.Winsize, command string) *pane {
	t.Helper()
	x := &pane{t, p.path(name + ".tmux"), append(p.env(), "LC_ALL=C.UTF-8", "TERM=xterm-256color")}
	config := p.path("tmux.conf")
	text := "set -g status off\nset -g default-terminal screen-256color\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	x.tmux("-u", "-f", config, "new-session", "-d", "-x", itoa(size.Cols), "-y", itoa(size.Rows), command+"; sleep 1000")
	t.Cleanup(func() { x.tmux("kill-server") })
	return x
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

func (x *pane) tmux(args ...string) string {
	x.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...)
	cmd.Env = x.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// screen returns what the pane shows, with colors.
func (x *pane) screen() string {
	x.t.Helper()
	return x.tmux("capture-pane", "-e", "-p")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// TestCastIsPlayed: asciinema plays a recorded session, and then the screen is that which the same program has
// drawn itself.
func TestCastIsPlayed(t *testing.T) {
	for _, program := range []string{"tmux", "asciinema"} {
		if _, err := exec.LookPath(program); err != nil {
			skipUnlessRequired(t, "terminals", "no %s", program)
		}
	}
	p := newTestDir(t)
	p.serve(t)
	first, last := pty.Winsize{Rows: 24, Cols: 80}, pty.Winsize{Rows: 18, Cols: 60}
	script := p.path("draw.sh")
	if err := os.WriteFile(script, []byte(castScript), 0o600); err != nil {
		t.Fatal(err)
	}

	s := p.onTerminal(t, first, "run", "-t", "--name", "drawing", "--", "sh", script, p.path("recorded"))
	poll(func() bool { return exists(p.path("recorded")) })
	s.resize(last)
	s.expectExit(0)
	cast := p.runnel(t, "logs", "--cast", "drawing").readAll()
	if err := os.WriteFile(p.path("drawing.cast"), []byte(cast), 0o600); err != nil {
		t.Fatal(err)
	}
	checkCast(t, cast)

	direct := p.inPane(t, "direct", first, "sh "+script+" "+p.path("drawn")+"; : >"+p.path("direct.done"))
	poll(func() bool { return exists(p.path("drawn")) })
	direct.tmux("resize-window", "-x", itoa(last.Cols), "-y", itoa(last.Rows))
	poll(func() bool { return exists(p.path("direct.done")) })
	played := p.inPane(t, "played", last, "asciinema play -s 100 "+p.path("drawing.cast")+" && : >"+p.path("played.done"))
	if !poll(func() bool { return exists(p.path("played.done")) }) {
		t.Fatalf("asciinema has not ended:\n%s", played.screen())
	}
	want := ""
	poll(func() bool { want = direct.screen(); return strings.Contains(want, "the end") })
	got := ""
	if !poll(func() bool { got = played.screen(); return got == want }) || !strings.Contains(want, "the end") {
		t.Errorf("played:\n%s\ndrawn:\n%s", got, want)
	}
}

// checkCast checks the form of the recording of castScript.
func checkCast(t *testing.T, cast string) {
	t.Helper()
	header, events, _ := strings.Cut(cast, "\n")
	var h castHeader
	if err := json.Unmarshal([]byte(header), &h); err != nil || h.Version != 2 || h.Width != 80 || h.Height != 24 || h.Env["TERM"] != "vt220" {
		t.Errorf("%s, %v", header, err)
	}
	codes, last := "", 0.0
	times := map[string]float64{} // of the events that contain a word
	for line := range strings.Lines(events) {
		var event [3]any
		if err := json.Unmarshal([]byte(line), &event); err != nil || strings.ContainsRune(line, utf8.RuneError) {
			t.Fatalf("%q, %v", line, err)
		}
		at, code, text := event[0].(float64), event[1].(string), event[2].(string)
		if at < last {
			t.Errorf("%q is before %v", line, last)
		}
		last = at
		if code == "r" {
			codes += text
		}
		for _, word := range []string{"one", "moved", "the end"} {
			if strings.Contains(text, word) {
				times[word] = at
			}
		}
	}
	if codes != "60x18" {
		t.Errorf("sizes %q", codes)
	}
	if times["moved"]-times["one"] < 0.28 || times["the end"]-times["moved"] < 0.35 {
		t.Errorf("times %v", times)
	}
}
