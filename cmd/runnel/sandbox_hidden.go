package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// hiddenFiles returns the files and directories of a server that no command in a sandbox may reach:
// its state, sockets, credentials and logs, and the files that decide what is permitted. A file that
// is replaced by another one becomes visible to a command that runs, so what the server makes itself
// is hidden with its directory.
func (c *serveCmd) hiddenFiles() []string {
	all := ownFiles(c.StateDir, c.Socket, c.TokenFile)
	for _, address := range c.Listen {
		if socket, ok := strings.CutPrefix(address, "unix:"); ok {
			all = append(all, socket)
		}
	}
	all = append(all, c.Tokens, c.Principals, c.Policy, c.SandboxProfiles, c.TLSKey, c.auditFile(), c.SpoolDir)
	return absolutePaths(all)
}

// readOnlyFiles returns the files of a server that are no secret, and that no command in a sandbox may
// change: they decide who is let in, or tell others about the server. A command may need to read them,
// as it does the authorities of the machine.
func (c *serveCmd) readOnlyFiles() []string {
	files := []string{c.TLSClientCA, c.TLSCert, c.ReadyFile}
	if !strings.Contains(c.JWTJWKS, "://") {
		files = append(files, c.JWTJWKS)
	}
	return absolutePaths(files)
}

// ownFiles returns the files of this user's servers, and others: of the default directories, everything.
func ownFiles(others ...string) []string {
	all := []string{defaultStateDir(), defaultSpoolDir(), socketPath(), tokenPath(socketPath())}
	for _, socket := range []string{defaultSocket(), otherSocket()} {
		if socket != "" {
			all = append(all, filepath.Dir(socket))
		}
	}
	return append(all, others...)
}

// absolutePaths returns absolute and clean paths, sorted. Empty ones are left out, and those that are
// another one or below it.
func absolutePaths(paths []string) (all []string) {
	for _, path := range paths {
		if absolute, err := filepath.Abs(path); err == nil && path != "" {
			all = append(all, absolute)
		}
	}
	slices.Sort(all) // a directory comes before what is in it
	kept := all[:0]
	for _, path := range all {
		if !slices.ContainsFunc(kept, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }) {
			kept = append(kept, path)
		}
	}
	return kept
}
