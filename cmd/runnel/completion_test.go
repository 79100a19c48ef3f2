//go:build linux

package main

import (
	"strings"
	"testing"
)

// TestCompletionInShells: each shell loads its script without an error, and the Tab key completes verbs, flags, names
// and ids.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t)
	run := p.runnel(t, "run", "--detach", "--name", "nightly", "--", "sleep", "1000")
	id := strings.TrimSpace(run.readAll())
	run.expectExit(0)
	for _, shell := range []struct {
		name    string
		command []string
		load    string
	}{
		{"bash", []string{"bash", "--norc", "-i"}, "source <(runnel completion bash)"},
		{"zsh", []string{"zsh", "-f", "-i"}, "source <(runnel completion zsh)"},
		{"fish", []string{"fish", "--no-config"}, "runnel completion fish | source"},
	} {
		t.Run(shell.name, func(t *testing.T) {
			needPrograms(t, shell.name)
			x := newTmux(t, p)
			pane := x.open(120, 20, append([]string{"env", "PS1=prompt> "}, shell.command...)...)
			complete := func(typed, completed string) {
				t.Helper()
				pane.text(typed)
				pane.await(typed)
				pane.keys("Tab")
				pane.await(completed)
			}
			pane.text(shell.load + "; echo loa''ded\r")
			pane.await("loaded")
			if text := pane.plain(); strings.Contains(text, "not found") || strings.Contains(text, "rror") {
				t.Fatal(text)
			}
			complete("runnel resu", "runnel resume")
			complete("nigh", "runnel resume nightly")
			pane.keys("C-u")
			complete("runnel attach --read", "runnel attach --read-only")
			complete(id[:8], "runnel attach --read-only "+id)
			pane.keys("C-u")
			complete("runnel completion fi", "runnel completion fish")
		})
	}
}
