package server

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxArgument is the longest argument that execve(2) accepts with pages of 4 KiB, in bytes:
// MAX_ARG_STRLEN without the NUL. With larger pages it accepts longer ones.
const maxArgument = 32*4096 - 1

// shellArgv returns the arguments that run a string command: SHELL -c COMMAND. A command that is
// too long for one argument is split into several. The shell joins them, removes them from its
// positional parameters and evaluates the command, so that $0, $#, stdin and the exit status are
// the same.
func shellArgv(shell, command string) []string {
	if len(command) <= maxArgument {
		return []string{shell, "-c", command}
	}
	var script strings.Builder
	script.WriteString(`eval "set --; `)
	argv := []string{shell, "-c", "", shell} // the last one is $0, which the shell sets to its own name otherwise
	for command != "" {
		n := cut(command)
		argv, command = append(argv, command[:n]), command[n:]
		script.WriteString("${" + strconv.Itoa(len(argv)-4) + "}")
	}
	script.WriteByte('"')
	argv[2] = script.String()
	return argv
}

// cut returns the length of the longest prefix of s that fits into an argument and ends after a
// character.
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
