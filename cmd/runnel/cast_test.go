//go:build linux

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
)

// castScript draws with colors and cursor moves, waits until its terminal has another size, and draws
// again. The file in its first argument exists when it waits; the second one is how long it shows the result.
const castScript = `printf 'one\r\n\033[31mred\033[0m \033[1;44mbold on blue\033[0m \303\251 \342\234\223\r\n'
sleep 1
printf '\033[8;20Hmoved\033[3D\033[7mX\033[0m\033[K'
: >"$1"
while test "$(stty size)" != '18 60'; do sleep 0.02; done
printf '\033[12;5H\342'; sleep 0.1; printf '\234\223 wide: \344\270\255\346\226\207\033[2;1Hover'
for i in 1 2 3 4 5 6; do printf '\033[15;%dH\033[3%dm#' $((i * 3)) $i; sleep 0.05; done
sleep 1
printf '\033[0m\033[5;1Hthe end'
exec sleep $2
`

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// TestCastIsPlayed: asciinema plays a recorded session, and then the screen is that which the same program has
// drawn itself.
func TestCastIsPlayed(t *testing.T) {
	needPrograms(t, "tmux", "asciinema")
	p := newTestDir(t)
	p.serve(t)
	first, last := pty.Winsize{Rows: 24, Cols: 80}, pty.Winsize{Rows: 18, Cols: 60}
	script := p.path("draw.sh")
	if err := os.WriteFile(script, []byte(castScript), 0o600); err != nil {
		t.Fatal(err)
	}

	s := p.onTerminal(t, first, "run", "-t", "--name", "drawing", "--", "sh", script, p.path("recorded"), "0")
	poll(func() bool { return exists(p.path("recorded")) })
	s.resize(last)
	s.expectExit(0)
	cast := p.runnel(t, "logs", "--cast", "drawing").readAll()
	if err := os.WriteFile(p.path("drawing.cast"), []byte(cast), 0o600); err != nil {
		t.Fatal(err)
	}
	checkCast(t, cast)

	terminals := newTmux(t, p)
	direct := terminals.open(int(first.Cols), int(first.Rows), "sh", script, p.path("drawn"), "1000")
	poll(func() bool { return exists(p.path("drawn")) })
	direct.resize(int(last.Cols), int(last.Rows))
	direct.await("the end")
	played := terminals.open(int(last.Cols), int(last.Rows), "sh", "-c",
		`asciinema play -s 100 "$1"; exec sleep 1000`, "play", p.path("drawing.cast")) // tmux writes to a pane that has ended
	if !poll(func() bool { return played.colored() == direct.colored() }) {
		t.Errorf("played:\n%s\ndrawn:\n%s", played.colored(), direct.colored())
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
	if times["moved"]-times["one"] < 0.1 || times["the end"]-times["moved"] < 0.1 {
		t.Errorf("times %v", times)
	}
}
