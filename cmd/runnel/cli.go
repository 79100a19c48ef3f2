package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// The exit statuses that are not a command's own.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// cli is the whole command line.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Serve the protocol."`
	Run        runCmd        `cmd:"" help:"Run a command as if it ran here. Serves itself where no server runs."`
	Ps         psCmd         `cmd:"" help:"List sessions."`
	Attach     attachCmd     `cmd:"" help:"Follow a session, from the beginning of what is kept, and end as it does. Ctrl-C leaves it running."`
	Logs       logsCmd       `cmd:"" help:"Print what is kept of a session's output."`
	Pause      pauseCmd      `cmd:"" help:"Stop a session's whole tree, and its deadlines."`
	Resume     resumeCmd     `cmd:"" help:"Let a paused session go on."`
	Signal     signalCmd     `cmd:"" help:"Send a signal to a session's whole tree."`
	Cancel     cancelCmd     `cmd:"" help:"Cancel a session and wait until its whole tree is gone."`
	Openrpc    openrpcCmd    `cmd:"" name:"openrpc" help:"Print the protocol as an OpenRPC document."`
	Completion completionCmd `cmd:"" help:"Print a script that completes runnel's command line."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// world is what a verb works with in place of the process's own.
type world struct {
	ctx    context.Context
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer
}

// statusError carries the exit status of a verb. Its text, if any, goes to stderr.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// run is the program: it returns the exit status.
func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("runnel"),
		kong.Description("Run commands for clients far away: supervised process trees over JSON-RPC 2.0 on WebSocket."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.NamedMapper("size", sizeMapper{}),
		kong.NamedMapper("limits", limitsMapper{}),
		kong.Vars{"socket": defaultSocket(), "state": defaultState()},
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	if args, err = parsable(args); err != nil {
		return report(stderr, &statusError{exitUsage, err})
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		return report(stderr, &statusError{exitUsage, err})
	}
	w := &world{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	return report(stderr, k.Run(w, parser))
}

// parsable returns the arguments as kong can be given them: only those of run may be other than UTF-8, and are escaped.
func parsable(args []string) ([]string, error) {
	out := slices.Clone(args)
	for i, arg := range args {
		if args[0] == "run" {
			out[i] = escapeBytes(arg)
		} else if !utf8.ValidString(arg) {
			return nil, fmt.Errorf("argument %d, %q, is not UTF-8", i+1, arg)
		}
	}
	return out, nil
}

// report says on stderr what failed, in one line, and returns the exit status.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var s *statusError
	if !errors.As(err, &s) {
		s = &statusError{exitFailure, err}
		if unread(err) {
			s = &statusError{exitSignalBase + int(syscall.SIGPIPE), nil}
		}
	}
	if text := s.Error(); text != "" {
		fmt.Fprintf(stderr, "runnel: %s\n", text)
	}
	return s.status
}

// unread reports whether a verb failed because nobody reads its stdout any more, as in `runnel ps | head -1`. Any
// other program ends by a signal then, and says nothing.
func unread(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) && errors.Is(err, syscall.EPIPE)
}
