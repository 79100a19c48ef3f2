// Command runaway tries to get away from whoever started it. Its arguments are a tag, by which its processes are found in
// the process table whatever they do to themselves, and the ways that it takes, joined by commas:
//
//	fork     a child stays, however the first process goes
//	double   the child forks and ends, so that nobody knows its parent
//	sibling  the child is one of the first process' parent
//	setsid   the child makes a session of its own
//	setpgid  the child makes a process group of its own
//	close    no descriptor is left open
//	ignore   every signal is ignored that can be
//	clearenv the environment is empty
//	loop     the child forks and ends, 40 times one after the other
//	stay     the first process does not end by itself
//
// What stays ends by itself after a minute.
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

const links = 40

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
		last += links
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

// spawn starts the next process in line.
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
