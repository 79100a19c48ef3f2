package codex

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc/files"
	"github.com/runnel-rpc/runnel/rpc/server"
)

// infoResult describes the machine of the server.
type infoResult struct {
	Shell                shellInfo       `json:"shell"`
	Cwd                  *string         `json:"cwd"`
	UserHomeDir          *string         `json:"userHomeDir"`
	PlatformOS           string          `json:"platformOs"`
	TempDir              string          `json:"tempDir"`
	PrependPathDirs      []string        `json:"prependPathDirs"`
	TemporaryDirectories []string        `json:"temporaryDirectories"`
	Capabilities         map[string]bool `json:"capabilities"`
}

type shellInfo struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// capabilities are optional parts of the protocol. Most are not served.
var capabilities = map[string]bool{
	"networkProxyLaunch":         true,
	"capabilityDiscoverySandbox": false,
	"capabilityDiscoveryV2":      false,
	"credentialMasking":          false,
	"environmentConfigRead":      false,
	"fileWriteStreaming":         false,
	"fsWatchMissing":             false,
	"httpHeaderEnvVars":          false,
	"sandboxedFileStreaming":     false,
	"shellSnapshotV2":            false,
	"windowsMxc":                 false,
}

func environmentInfo(c *conn, _ *struct{}) answer { return result(c.info(), nil) }

// info describes the machine for the connection.
func (c *conn) info() *infoResult {
	environ := c.caller.Defaults().Environ
	info := &infoResult{
		Shell:                shell(environ, c.caller.Defaults().Shell),
		PlatformOS:           runtime.GOOS,
		TempDir:              files.FormatURI("/tmp"),
		PrependPathDirs:      []string{},
		TemporaryDirectories: []string{},
		Capabilities:         capabilities,
	}
	if dir, err := os.Getwd(); err == nil {
		if !c.permitted(dir) {
			dir = "/"
		}
		uri := files.FormatURI(dir)
		info.Cwd = &uri
	}
	if home := variable(environ, "HOME"); filepath.IsAbs(home) && c.permitted(home) {
		uri := files.FormatURI(home)
		info.UserHomeDir = &uri
	}
	return info
}

// permitted reports whether the policy permits the caller to use files in a directory. What it does not
// permit is not described.
func (c *conn) permitted(dir string) bool {
	a, err := c.caller.FileAccess(server.FileRequest{Path: dir})
	if err != nil {
		return false
	}
	return !a.Restricted || slices.ContainsFunc(a.Roots, func(r files.Root) bool { return sandbox.Below(dir, r.Path) })
}

type statusResult struct {
	Status string `json:"status"`
}

func environmentStatus(*conn, *struct{}) answer { return result(statusResult{"ready"}, nil) }

// shell returns the shell that a client should use: that of the server's user if it is a known one, else
// bash, else the shell of the server.
func shell(environ []string, fallback string) shellInfo {
	known := []string{"bash", "zsh", "sh"}
	for _, file := range []string{variable(environ, "SHELL"), "/bin/bash", fallback} {
		if name := filepath.Base(file); slices.Contains(known, name) && isProgram(file) {
			return shellInfo{name, file}
		}
	}
	return shellInfo{"sh", fallback}
}

func isProgram(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// variable returns the value of a variable of an environment, or "".
func variable(environ []string, name string) string {
	for _, v := range environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}
