package main

import (
	"os"
	"strings"
	"testing"
)

// TestSandboxProfilesReload: the file of profiles is read again when it changes. One that is not valid,
// or lacks the profile that every command gets, changes nothing.
func TestSandboxProfilesReload(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	write := func(text string) {
		t.Helper()
		err := os.WriteFile(p.path("profiles.new"), []byte(text), 0o600)
		if err == nil {
			err = os.Rename(p.path("profiles.new"), p.path("profiles.toml"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// A profile that does not exist is refused before the machine is asked what it can enforce.
	known := func(profile string) bool {
		t.Helper()
		x := p.runnel(t, "run", "--sandbox="+profile, "--", "true")
		<-x.done
		return !strings.Contains(x.stderrText(), "is not the name of a profile")
	}
	const first = "[[profile]]\nname = 'first'\n"
	const second = "[[profile]]\nname = 'second'\n"
	write(first)
	args := []string{"--sandbox-profiles=profiles.toml", "--log-format=json"}
	floor, err := canSandbox()
	if err != nil {
		t.Fatal(err)
	}
	if floor {
		args = append(args, "--sandbox-default=first")
	}
	server, _ := p.serve(t, args...)
	if !known("first") || known("second") {
		t.Fatal("the profiles are not those of the file:", server.stderrText())
	}
	write("[[profile]]\nname = 'second'\nnetwork = 'some'\n")
	server.awaitStderr("profiles.toml:3: ")
	if !known("first") {
		t.Error("an invalid file has replaced the valid one")
	}
	if floor {
		write(second)
		server.awaitStderr(`there is no profile \"first\"`)
		if !known("first") || known("second") {
			t.Error("a file without the required profile has replaced the valid one")
		}
	}
	write(first + second)
	if !poll(func() bool { return known("second") }) {
		t.Error("the file was not read again:", server.stderrText())
	}
}
