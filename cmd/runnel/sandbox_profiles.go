package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

type sandboxProfilesCmd struct {
	File         string `arg:"" optional:"" help:"File with profiles of sandboxes. Default: that of --sandbox-profiles, or none."`
	profileFlags `embed:""`
}

// Run prints what each profile permits. The exit status is 2 for an invalid file.
func (c *sandboxProfilesCmd) Run(inv *invocation) error {
	p, err := c.read()
	if err != nil {
		return &statusError{exitUsage, err}
	}
	var b strings.Builder
	for i, name := range p.Names() {
		if i > 0 {
			b.WriteByte('\n')
		}
		describeProfile(&b, p, name)
	}
	_, err = io.WriteString(inv.stdout, b.String())
	return err
}

func (c *sandboxProfilesCmd) read() (*sandbox.Profiles, error) {
	if c.File != "" {
		return readProfiles("profiles", c.File)
	}
	return c.readProfiles()
}

// describeProfile prints a profile. Paths in the directory of the command, and in the home directory
// of its user, are printed relative to these.
func describeProfile(b *strings.Builder, p *sandbox.Profiles, name string) {
	fmt.Fprintf(b, "%s:\n", name)
	c, err := p.Floor(name, sandbox.Place{Dir: exampleDir, Home: exampleHome})
	switch {
	case err != nil:
		fmt.Fprintf(b, "  %v\n", err)
		return
	case c == nil:
		b.WriteString("  no sandbox\n")
		return
	}
	fmt.Fprintf(b, "  files: %s\n", c.FilesDefault)
	for _, r := range c.Files {
		fmt.Fprintf(b, "    %s: %s", ofCommand(r.Path), r.Access)
		if r.Missing != sandbox.Skip {
			fmt.Fprintf(b, ", %s if missing", r.Missing)
		}
		b.WriteByte('\n')
	}
	for _, path := range c.Hidden {
		fmt.Fprintf(b, "    %s: none, always\n", ofCommand(path))
	}
	fmt.Fprintf(b, "  network: %s\n", c.Network.Mode)
	for _, d := range c.Network.Allow {
		fmt.Fprintf(b, "    %v\n", d)
	}
	fmt.Fprintf(b, "  processes: %s\n  tmp: %s\n  devices: %s\n  unix_sockets: %s\n  metadata: %s\n",
		c.Processes, c.Tmp, c.Devices, c.UnixSockets, c.Metadata)
	if c.At(exampleDir) == sandbox.None {
		b.WriteString("  warning: a command can be started only in a directory that is listed here, or below one\n")
	}
}

// ofCommand replaces the directories that stand for those of a command.
func ofCommand(path string) string {
	for _, dir := range []struct{ name, short string }{{exampleDir, "."}, {exampleHome, "~"}} {
		if path == dir.name {
			return dir.short
		}
		if rest, ok := strings.CutPrefix(path, dir.name+"/"); ok {
			if dir.short == "." {
				return printable(rest)
			}
			return printable(dir.short + "/" + rest)
		}
	}
	return printable(path)
}

// printable returns a path in quotes if a terminal might not print it as it is.
func printable(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(path) {
		return strconv.Quote(path)
	}
	return path
}
