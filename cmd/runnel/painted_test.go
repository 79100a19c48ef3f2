//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/runnel-rpc/runnel/session/screen/screentest"
)

// TestPaintOfAnEditor: a terminal of the same size returns to vim, which therefore does not repaint. The paint
// shows what a vim shows that was never left: characters, attributes, cursor, and modes.
func TestPaintOfAnEditor(t *testing.T) {
	t.Parallel()
	vim := []string{"vim", "-u", "NONE", "-N", "-n", "-c",
		"syntax on | set number hlsearch cursorline laststatus=2 ruler mouse=a list | vsplit | split", "source.c"}
	checkPaint(t, 100, 30, vim, func(p *pane) {
		p.text("20Gzt/value\rOoé漢字 e\u0301 \tnew")
		p.keys("Escape")
		p.text("V3j")
		p.await("VISUAL LINE")
	}, func(p *pane) {
		p.keys("Escape")
		p.text("dwjA end")
	})
}

// TestPaintOfAPager: as TestPaintOfAnEditor, with less.
func TestPaintOfAPager(t *testing.T) {
	t.Parallel()
	checkPaint(t, 70, 12, []string{"less", "-R", "-N", "-M", "--mouse", "source.c"}, func(p *pane) {
		p.text("40g/value\r\r\ry")
		p.await("lines 42-52")
	}, func(p *pane) {
		p.text("kkk")
	})
}

// checkPaint runs a program that shows source.c in two terminals, leaves it in one of them after some keys, returns,
// and compares both terminals then and after further keys.
func checkPaint(t *testing.T, cols, rows int, program []string, before, after func(*pane)) {
	t.Helper()
	needPrograms(t, program[0])
	p := newTestDir(t)
	p.serve(t)
	x := newTmux(t, p)
	x.sourceFile("source.c")
	left := x.open(cols, rows, slices.Concat([]string{"runnel", "run", "-t", "--name", "left", "--"}, program)...)
	stayed := x.open(cols, rows, program...)
	for _, pane := range []*pane{left, stayed} {
		pane.await("source.c")
		before(pane)
	}
	left.expectPaint(stayed, "before it is left")
	left.kill()
	back := x.open(cols, rows, "runnel", "attach", "left")
	back.expectPaint(stayed, "after the return")
	for _, pane := range []*pane{back, stayed} {
		after(pane)
	}
	back.expectPaint(stayed, "after keys")
}

// TestPaintOfAMonitor: htop shows numbers that change. So it is paused, and what returns is compared with a
// terminal that stayed attached to it.
func TestPaintOfAMonitor(t *testing.T) {
	t.Parallel()
	needPrograms(t, "htop")
	p := newTestDir(t)
	p.serve(t)
	x := newTmux(t, p)
	stayed := x.open(90, 20, "runnel", "run", "-t", "--name", "monitor", "--", "htop", "--delay=5", "--tree")
	stayed.await("F10Quit")
	stayed.keys("F4") // a line is edited, with a cursor in it
	stayed.text("runnel")
	stayed.await("Filter: runnel")
	left := x.open(90, 20, "runnel", "attach", "monitor")
	left.await("Filter: runnel")
	left.kill()
	p.runnel(t, "pause", "monitor").expectExit(0)
	back := x.open(90, 20, "runnel", "attach", "monitor")
	back.expectPaint(stayed, "after the return")
	p.runnel(t, "resume", "monitor").expectExit(0)
}

// expectPaint waits until both panes show the same in the same modes.
func (p *pane) expectPaint(want *pane, what string) {
	p.x.t.Helper()
	state := func(p *pane) string { return screentest.Normalize(p.colored(), true) + p.cursor() + p.modes() }
	if !poll(func() bool { return state(p) == state(want) }) {
		p.x.t.Fatalf("%s: the pane shows\n%s\nwant\n%s", what, state(p), state(want))
	}
}

// sourceFile writes a file with comments, tabs, wide characters, and escape sequences for colors.
func (x *tmux) sourceFile(name string) {
	x.t.Helper()
	var b []byte
	for i := range 40 {
		b = fmt.Appendf(b, "/* 漢字 comment %d */\nint value%d = %d;\t// \x1b[1;3%dmcolor\x1b[0m \x1b[48;5;%dm and \x1b[7mmore\x1b[m\n\tif (\"string\") { }\n", i, i, i, i%8, i+40)
	}
	if err := os.WriteFile(x.dir.path(name), b, 0o600); err != nil {
		x.t.Fatal(err)
	}
}
