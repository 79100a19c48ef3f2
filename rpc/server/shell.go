package server

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxArgument is the longest single argument that execve(2) takes: MAX_ARG_STRLEN, which counts the NUL, with pages of
// 4 KiB. Where pages are larger, longer ones would do.
const maxArgument = 32*4096 - 1

// shellArgv runs a string command: SHELL -c COMMAND. A command that is too long for one argument goes in several, which
// the shell joins and evaluates once it has dropped them, so that $0, $#, stdin and the exit status are the same.
func shellArgv(shell, command string) []string {
	if len(command) <= maxArgument {
		return []string{shell, "-c", command}
	}
	var script strings.Builder
	script.WriteString(`eval "set --; `)
	argv := []string{shell, "-c", "", shell} // the last one is $0, as the shell sets it otherwise
	for command != "" {
		n := cut(command)
		argv, command = append(argv, command[:n]), command[n:]
		script.WriteString("${" + strconv.Itoa(len(argv)-4) + "}")
	}
	script.WriteByte('"')
	argv[2] = script.String()
	return argv
}

// cut is the length of the longest piece at the beginning of s that fits into an argument and ends behind a character.
func cut(s string) int {
	if len(s) <= maxArgument {
		return len(s)
	}
	for n := maxArgument; n > maxArgument-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return n
		}
	}
	return maxArgument // not UTF-8
}
