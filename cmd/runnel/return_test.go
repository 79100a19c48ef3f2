//go:build linux

package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReturnToAnEditor: a terminal is closed, and another one of another size continues. It shows what a
// vim shows that was never left.
func TestReturnToAnEditor(t *testing.T) {
	needPrograms(t, "vim")
	t.Parallel()
	for _, how := range []string{"url", "name", "detach"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p := newTestDir(t)
			_, ready := p.serve(t)
			x := newTmux(t, p)
			x.numberedFile("text", 300)
			vim := []string{"vim", "-u", "NONE", "-N", "-n", "-c", "set number hlsearch", "text"}
			start := map[string][]string{
				"url":    {"run", "-t", "--url", ready.URL, "--name", "editor"},
				"name":   {"run", "-t", "--name", "editor"},
				"detach": {"run", "-t", "--detach", "--name", "editor"},
			}[how]
			command := slices.Concat([]string{"runnel"}, start, []string{"--"}, vim)
			first := x.openShell(100, 30, quoteAll(command))
			if how == "detach" {
				first.expectRestored(0)
				first.kill()
				first = x.open(100, 30, "runnel", "attach", "editor")
			}
			first.await("line 20 of")
			stayed := x.open(70, 12, vim...)
			stayed.await("line 4 of")
			both := func(do func(*pane)) { do(first); do(stayed) }
			both(func(p *pane) { p.text("50Gzt/words\n50Gihello "); p.keys("Escape") })
			first.await("hello line 50 of")
			first.kill()

			second := x.openShell(70, 12, "runnel attach editor")
			second.await("hello line 50 of")
			stayed.keys("C-l")
			second.keys("C-l")
			second.expectSame(stayed, "after the return")
			second.text("oé漢字 new")
			second.keys("Escape")
			stayed.text("oé漢字 new")
			stayed.keys("Escape")
			second.expectSame(stayed, "after keys")
			second.resize(60, 20)
			stayed.resize(60, 20)
			second.expectSame(stayed, "after a resize")

			before := second.modes()
			if !strings.Contains(before, "alternate 1") {
				t.Errorf("vim has the modes %s", before)
			}
			second.text("\r~.")
			second.await("runnel: detached from ")
			second.expectRestored(0)
		})
	}
}

// TestReturnToAPager: less, at another size.
func TestReturnToAPager(t *testing.T) {
	t.Parallel()
	needPrograms(t, "less")
	p := newTestDir(t)
	_, ready := p.serve(t)
	x := newTmux(t, p)
	x.numberedFile("text", 300)
	first := x.open(100, 30, "runnel", "run", "-t", "--url", ready.URL, "--name", "pager", "--", "less", "text")
	stayed := x.open(70, 12, "less", "text")
	for _, pane := range []*pane{first, stayed} {
		pane.await("line 3 of")
		pane.text("100g/file\r")
		pane.await("line 100 of")
	}
	first.kill()
	second := x.openShell(70, 12, "runnel attach pager")
	second.await("line 100 of")
	second.text("150g")
	stayed.text("150g")
	second.await("line 150 of")
	second.expectSame(stayed, "after keys")
	second.resize(90, 20)
	stayed.resize(90, 20)
	second.await("line 160 of")
	second.text("r")
	stayed.text("r")
	second.expectSame(stayed, "after a resize")
	second.text("q")
	second.expectRestored(0)
}

// TestReturnToAMonitor: htop writes numbers that change, so its header and its line of function keys are
// looked at.
func TestReturnToAMonitor(t *testing.T) {
	t.Parallel()
	needPrograms(t, "htop")
	p := newTestDir(t)
	_, ready := p.serve(t)
	x := newTmux(t, p)
	first := x.open(100, 30, "runnel", "run", "-t", "--url", ready.URL, "--name", "monitor", "--", "htop", "--delay=5")
	first.await("F10Quit")
	first.kill()
	second := x.openShell(70, 12, "runnel attach monitor")
	stayed := x.open(70, 12, "htop", "--delay=5")
	frame := func(p *pane) string {
		lines := strings.Split(p.plain(), "\n")
		if len(lines) < 12 {
			return p.plain()
		}
		digits := regexp.MustCompile(`[0-9.|]+[KMGT]?|running|,|;`)
		head := ""
		for _, line := range lines[:11] {
			if strings.Contains(line, "PID USER") {
				head = line
			}
		}
		return digits.ReplaceAllString(lines[0], "#") + "\n" + head + "\n" + lines[11]
	}
	for _, pane := range []*pane{second, stayed} {
		pane.await("F9Kill")
		pane.await("PID USER")
	}
	if !poll(func() bool { return frame(second) == frame(stayed) }) {
		t.Errorf("the pane shows\n%s\nwant\n%s", second.plain(), stayed.plain())
	}
	second.keys("F2")
	second.await("Setup")
	second.keys("F10")
	second.await("PID USER")
	second.resize(100, 25)
	second.await("F10Quit")
	second.text("\r~.")
	second.await("runnel: detached from ")
	second.expectRestored(0)
}
