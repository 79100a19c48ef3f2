// Command runaway tries to leave the tree in which it was started. Its arguments are a tag, by which
// its processes are found in the process table, and the ways that it takes, separated by commas:
//
//	fork     a child is started, which outlives the first process
//	double   the child forks and exits, so that the last process is an orphan
//	sibling  the child is a child of the parent of the first process (CLONE_PARENT)
//	setsid   the child creates a session
//	setpgid  the child creates a process group
//	close    no descriptor is open
//	ignore   every signal is ignored that can be
//	clearenv the environment is empty
//	loop     the child forks and exits, 40 times in a chain
//	stay     the first process does not exit by itself
//
// The last process exits by itself after a minute.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// loopLength is the number of processes of "loop".
const loopLength = 40

func main() {
	tag, ways, stage := os.Args[1], os.Args[2], 0
	if len(os.Args) > 3 {
		stage, _ = strconv.Atoi(os.Args[3])
	}
	has := func(way string) bool { return strings.Contains(","+ways+",", ","+way+",") }
	if has("ignore") {
		signal.Ignore()
	}
	last := 1
	if has("double") {
		last = 2
	}
	if has("loop") {
		last += loopLength
	}
	switch {
	case stage == 0:
		if has("fork") {
			spawn(tag, ways, 1, has)
		}
		fmt.Println("ready")
		if !has("stay") {
			return
		}
	case stage < last:
		spawn(tag, ways, stage+1, has)
		return
	}
	time.Sleep(time.Minute)
}

// spawn starts the next process of the chain.
func spawn(tag, ways string, stage int, has func(string) bool) {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if has("clearenv") {
		attr.Env = nil
	}
	if has("close") {
		attr.Files = nil
	}
	if has("sibling") && stage == 1 {
		attr.Sys.Cloneflags = syscall.CLONE_PARENT
	}
	attr.Sys.Setsid = has("setsid") && stage == 1
	attr.Sys.Setpgid = has("setpgid") && !attr.Sys.Setsid
	exe, _ := os.Executable()
	if _, err := syscall.ForkExec(exe, []string{os.Args[0], tag, ways, strconv.Itoa(stage)}, attr); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
