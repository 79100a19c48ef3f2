package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/mattn/go-isatty"

	"github.com/runnel-rpc/runnel/rpc"
)

// maxShownDenials is how many refused destinations are printed.
const maxShownDenials = 10

// denialReasons are the reasons of refused destinations in words.
var denialReasons = map[string]string{
	"not_listed":  "it is not listed",
	"not_public":  "its address is not public, and not listed",
	"server_name": "the TLS handshake named another server",
}

// reportSandbox prints the destinations that the sandbox of the command refused if stderr is a
// terminal, or if verbose is set, and then what enforced it, too. A program that reads stderr gets
// what the command wrote, and nothing else, unless it asks for more.
func (e *execution) reportSandbox(verbose bool) {
	r := e.sandbox
	if r == nil || !verbose && !e.stderrIsTerminal() {
		return
	}
	if verbose {
		fmt.Fprintf(e.inv.stderr, "runnel: sandbox: %s\n", strings.Join(enforcement(r), ", "))
	}
	for i, d := range r.Denied {
		if i == maxShownDenials {
			fmt.Fprintf(e.inv.stderr, "runnel: sandbox: refused %d further destinations\n", len(r.Denied)-i)
			break
		}
		fmt.Fprintf(e.inv.stderr, "runnel: sandbox: refused %s\n", denial(&d))
	}
}

func (e *execution) stderrIsTerminal() bool {
	f, ok := e.inv.stderr.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// enforcement describes of what a sandbox was made, and what enforced its parts.
func enforcement(r *rpc.SandboxReport) (all []string) {
	if r.Profile != "" {
		all = append(all, "profile "+r.Profile)
	}
	for _, name := range r.Floor {
		all = append(all, "floor "+name)
	}
	for _, part := range []struct{ name, mode, by string }{
		{"files", "", r.Files.By},
		{"network", r.Network.Mode, r.Network.By},
		{"processes", r.Processes.Mode, r.Processes.By},
		{"tmp", r.Tmp.Mode, r.Tmp.By},
		{"unix_sockets", r.UnixSockets.Mode, r.UnixSockets.By},
		{"metadata", r.Metadata.Mode, r.Metadata.By},
	} {
		text := part.name
		if part.mode != "" {
			text += " " + part.mode
		}
		if part.by != "" {
			text += " by " + part.by
		}
		all = append(all, text)
	}
	return all
}

// denial describes a refused destination. The command has chosen its name, so what is not printable is
// escaped.
func denial(d *rpc.SandboxDenial) string {
	host := strings.Trim(fmt.Sprintf("%q", d.Host), `"`)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	text := fmt.Sprintf("%s:%d", host, d.Port)
	if d.Count > 1 {
		text += fmt.Sprintf(" (%d times)", d.Count)
	}
	if why := denialReasons[d.Reason]; why != "" {
		text += ": " + why
	}
	return text
}
