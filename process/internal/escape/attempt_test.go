//go:build linux

package escape

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// part is what a sandbox promises. An attempt is made only under mechanisms that promise its part. No
// mechanism promises nestedReplaced and nestedPipes, and only Landlock alone replacedDir.
type part string

const (
	always         part = "always"          // what every sandbox refuses
	files          part = "files"           // rules about files
	nested         part = "nested"          // rules about files below writable directories
	replaced       part = "replaced"        // rules about files that the host replaces after the start
	replacedDir    part = "replaced dir"    // the same for directories
	nestedReplaced part = "nested replaced" // the same for rules below writable directories
	nestedParent   part = "nested parent"   // rules below a writable directory whose parent is renamed
	nestedPipes    part = "nested pipes"    // writing to FIFOs that are read-only below a writable directory
	pipes          part = "pipes"           // writing to FIFOs
	devices        part = "devices"         // device files that the host has made in the workspace
	server         part = "server"          // files of the server
	holder         part = "holder"          // process 1 of the sandbox
	metadata       part = "metadata"        // modes, owners, times and attributes of files
	machine        part = "machine"         // device files and files in /proc, which root owns
	processes      part = "processes"       // processes: own
	allowList      part = "allow-list"      // network: allow
	network        part = "network"         // network: none
	sockets        part = "sockets"         // unix_sockets: none
	ipc            part = "ipc"             // System V and POSIX objects
)

// attempt is something that a command in a sandbox must not achieve.
type attempt struct {
	name string
	part part
	// root and user are true for an attempt that needs root, or another user, to succeed without a
	// sandbox.
	root, user bool
	// inside is true for an attempt on what only a sandbox has, which is not made without one.
	inside bool
	// maybe says what some machines lack, so that the attempt fails there without a sandbox.
	maybe string
	// terminal is true if the command runs on a terminal.
	terminal bool
	// ownProgram is true if the program belongs to the command's user.
	ownProgram bool
	// mayRefuse is true if the start may be refused because of the rules.
	mayRefuse bool
	// rules changes the sandbox.
	rules func(w *world)
	// prepare makes what is outside, before the start.
	prepare func(t testing.TB, w *world)
	// variables are additional variables of the environment.
	variables func(w *world) []string
	// try runs in the sandbox. It prints what it has read. The error is why it failed.
	try func(w *world) error
	// during runs outside, while try waits in w.await.
	during func(t testing.TB, w *world)
	// escaped runs outside after the end of the command and reports whether it has succeeded. out is
	// what the command has printed. nil means that try returned no error.
	escaped func(w *world, out string) bool
}

// attempts returns all attempts.
func attempts() []attempt {
	return slices.Concat(fileAttempts(), linkAttempts(), changeAttempts(), metadataAttempts(), replaceAttempts(), subvolumeAttempts(),
		procAttempts(), deviceAttempts(), mountAttempts(), socketAttempts(), networkAttempts(), allowListAttempts(),
		signalAttempts(), inspectAttempts(), privilegeAttempts(), kernelAttempts(), filterAttempts(),
		ipcAttempts(), terminalAttempts(), inheritAttempts(), serverAttempts(), cgroupAttempts())
}

// finished is the last line of an attempt whose try returned no error.
const startFailed = "escape: start: " // before the error of a start

const finished = "escape: finished"

func done(_ *world, out string) bool { return strings.Contains(out, finished) }

// leaked reports whether the command knows the secret.
func leaked(w *world, out string) bool { return strings.Contains(out, w.secret) }

// runAttempt is the command in the sandbox.
func runAttempt(name string) {
	w, err := worldFromEnv()
	if err != nil {
		exitWith(err)
	}
	for _, a := range attempts() {
		if a.name != name {
			continue
		}
		if err := a.try(w); err != nil {
			fmt.Printf("\nescape: refused: %v\n", err)
			os.Exit(1)
		}
		fmt.Print("\n" + finished + "\n")
		os.Exit(0)
	}
	exitWith(fmt.Errorf("no attempt %q", name))
}

const ready = "escape: ready"

// await lets the test go on outside, and waits for it.
func (w *world) await() error {
	fmt.Println(ready)
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}
