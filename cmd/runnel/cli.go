package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// The exit statuses of all verbs. Those that have a command's exit status use exitRunnelFailed
// instead of exitFailure.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// cli is the command line.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Run        runCmd        `cmd:"" help:"Run a command as if it ran here. Without a server, runnel itself is the server."`
	Ps         psCmd         `cmd:"" help:"List sessions."`
	Attach     attachCmd     `cmd:"" help:"Use this terminal for a session that has one; ~. leaves it. Otherwise, or without a terminal, print its output from the oldest that is kept until it ends, and exit with its status; Ctrl-C leaves."`
	Logs       logsCmd       `cmd:"" help:"Print the output of a session that is kept."`
	Status     statusCmd     `cmd:"" help:"Print the state of sessions."`
	Wait       waitCmd       `cmd:"" help:"Wait until sessions have ended, and exit with their status."`
	Write      writeCmd      `cmd:"" help:"Write to the stdin of a session."`
	Pause      pauseCmd      `cmd:"" help:"Pause all processes of sessions, and their timeouts."`
	Resume     resumeCmd     `cmd:"" help:"Resume paused sessions."`
	Signal     signalCmd     `cmd:"" help:"Send a signal to all processes of sessions."`
	Cancel     cancelCmd     `cmd:"" help:"Cancel sessions and wait until all their processes have ended."`
	Rm         rmCmd         `cmd:"" help:"Delete the output and the records of ended sessions."`
	MCP        mcpCmd        `cmd:"" name:"mcp" help:"Offer the tools of a server to a host of the Model Context Protocol, on stdin and stdout. Without a server, runnel itself is the server."`
	Token      tokenCmd      `cmd:"" help:"Manage the tokens file of a server."`
	Policy     policyCmd     `cmd:"" help:"Check a policy file."`
	Sandbox    sandboxCmd    `cmd:"" help:"Check what this machine can enforce of a sandbox, and list profiles."`
	Context    contextCmd    `cmd:"" help:"Name servers, and choose the one to use."`
	Openrpc    openrpcCmd    `cmd:"" name:"openrpc" help:"Print the OpenRPC document of the protocol."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
	Version    versionCmd    `cmd:"" help:"Print the version, as --version does."`
	Help       helpCmd       `cmd:"" help:"Print what --help prints."`
}

// helpCmd is the verb help.
type helpCmd struct {
	Verb []string `arg:"" optional:"" help:"Verb, and its own verb."`
}

// Run prints what --help prints.
func (c *helpCmd) Run(inv *invocation) error {
	return &statusError{run(inv.ctx, append(c.Verb, "--help"), inv.stdin, inv.stdout, inv.stderr), nil}
}

// invocation is the context and the standard streams of one invocation of a verb.
type invocation struct {
	ctx    context.Context
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer
}

// say prints a message to stderr.
func (inv *invocation) say(format string, args ...any) {
	fmt.Fprintf(inv.stderr, "runnel: "+format+"\n", args...)
}

// statusError is an error with the exit status of a verb. If it has an error text, that is printed
// to stderr.
type statusError struct {
	status int
	err    error // may be nil
}

func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// run parses the arguments, runs the verb, and returns the exit status.
func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) int {
	exited := -1
	if len(args) == 1 && args[0] == "--version" {
		args = []string{"version"}
	}
	parser, err := kong.New(grammar(args),
		kong.Name("runnel"),
		kong.Description("Run commands for remote clients: supervised process trees over JSON-RPC 2.0 on WebSocket."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.NamedMapper("size", sizeMapper{}),
		kong.NamedMapper("limits", limitsMapper{}),
		kong.Vars{"socket": defaultSocket(), "state": defaultStateDir(), "spool": defaultSpoolDir()},
	)
	if err != nil {
		panic(err) // the tags of cli are invalid
	}
	if args, err = escapeArgs(args); err != nil {
		return report(stderr, &statusError{exitUsage, err})
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if outputFailed(err) { // of --help
		return report(stderr, err)
	}
	if err != nil {
		return report(stderr, &statusError{exitUsage, err})
	}
	inv := &invocation{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	return report(stderr, k.Run(inv, parser))
}

// grammar returns a pointer to the struct that kong parses the arguments into: cli, or one that has
// only the verb of the arguments. To build all verbs takes several times as long.
func grammar(args []string) any {
	all := reflect.TypeFor[cli]()
	for i := range all.NumField() {
		verb := all.Field(i)
		if len(args) > 0 && args[0] == strings.ToLower(verb.Name) && verb.Type != reflect.TypeFor[completionCmd]() {
			return reflect.New(reflect.StructOf([]reflect.StructField{verb})).Interface()
		}
	}
	return new(cli)
}

// escapeArgs returns the arguments in the form in which kong can process them. Only those of run
// may be invalid UTF-8; they are escaped.
func escapeArgs(args []string) ([]string, error) {
	out := slices.Clone(args)
	for i, arg := range args {
		if args[0] == "run" {
			out[i] = escapeBytes(arg)
		} else if !utf8.ValidString(arg) {
			return nil, fmt.Errorf("argument %d is not UTF-8: %q", i+1, arg)
		}
	}
	return out, nil
}

// report prints an error to stderr, in one line, and returns the exit status.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var s *statusError
	if !errors.As(err, &s) {
		s = &statusError{exitFailure, err}
		if brokenPipe(err) {
			s = &statusError{exitSignalBase + int(syscall.SIGPIPE), nil}
		}
	}
	if text := strings.Replace(s.Error(), "write "+os.Stdout.Name()+":", "write to stdout:", 1); text != "" {
		fmt.Fprintf(stderr, "runnel: %s\n", text)
	}
	return s.status
}

// outputFailed reports whether a write to stdout has failed.
func outputFailed(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) && file.Op == "write" && file.Path == os.Stdout.Name()
}

// brokenPipe reports whether a verb failed because the reader of its stdout has exited, as in
// `runnel ps | head -1`. Other programs are then killed by SIGPIPE, without a message.
func brokenPipe(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file) && errors.Is(err, syscall.EPIPE)
}
