//go:build linux

package main

import (
	"strings"
	"testing"
)

// TestReplayedQueriesAreNotAnswered: a terminal is attached with -i to a session without one. What it would answer to
// old output does not become input. New output is passed on, with its queries.
func TestReplayedQueriesAreNotAnswered(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	x := newTmux(t, p)
	p.runnel(t, "run", "--detach", "--stdin", "--name", "asks", "-c", `
		printf '\033[6n\033[c\033]10;?\a\033[31mready\033[0m\n'; printf '\033[5n\033[>c' >&2
		read x; test "$x" = typed && echo right || echo wrong
		read x; printf '\033[5n\033]2;new title\a'
		read x; case $x in *'[0n'*) echo answered;; *) echo unanswered;; esac; read x`).expectExit(0)
	pane := x.openShell(60, 10, "runnel attach -i asks")
	pane.await("ready")
	if colored := pane.colored(); !strings.Contains(colored, "\x1b[31mready") {
		t.Errorf("the color is lost: %q", colored)
	}
	pane.text("typed\r")
	pane.await("right")
	pane.text("\r")
	if !poll(func() bool { return strings.Contains(pane.modes(), "title new title") }) {
		t.Errorf("new output is changed: %s", pane.modes())
	}
	pane.text("\r")
	pane.await("answered")
	if text := pane.plain(); strings.Contains(text, "unanswered") {
		t.Errorf("a new query is not answered: %s", text)
	}
}
