package main

import (
	"fmt"
	"runtime/debug"
)

// tag is the version of a release build, set by -ldflags "-X main.tag=v1.2.3". If it is empty, the
// version is taken from the build info.
var tag string

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(inv *invocation) error {
	_, err := fmt.Fprintf(inv.stdout, "runnel %s\n", version())
	return err
}

// version returns the version of this binary. The server also sends it, as version in the connected
// notification.
func version() string {
	if tag != "" {
		return tag
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return devel
	}
	return buildVersion(info)
}

// devel is the version of a build whose build info names neither a module version nor a revision.
const devel = "(devel)"

// buildVersion returns the version of the main module, or else the VCS revision, with "+dirty" if
// the work tree had uncommitted changes. Builds with -buildvcs=false and those of go run and go
// test have neither.
func buildVersion(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != devel {
		return v
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return devel
	}
	if settings["vcs.modified"] == "true" {
		revision += "+dirty"
	}
	return revision
}
