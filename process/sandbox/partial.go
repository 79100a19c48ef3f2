package sandbox

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Partial is what a profile or a request has of a Config. A zero field is left out.
type Partial struct {
	// Files are as in a Config, with paths that may be relative to the working directory, or begin
	// with "~/" for the home directory of the user of the command; "." and "~" are these themselves.
	// ".." is resolved without the file system (filepath.Clean). A Missing of "" is Refuse in a
	// request, and Skip in a profile.
	Files        []Rule
	FilesDefault Access
	Network      Network // left out if Mode is ""
	Processes    Scope
	Tmp          Scope
	Devices      Devices
	UnixSockets  UnixSockets
	Metadata     Metadata
}

// Request is what an execute has of a sandbox.
type Request struct {
	Profile string // "" is the floor, or read-only if there is none
	Partial
}

// empty reports whether everything is left out.
func (p *Partial) empty() bool {
	return len(p.Files) == 0 && p.FilesDefault == "" && p.Network.Mode == "" && p.Processes == "" &&
		p.Tmp == "" && p.Devices == "" && p.UnixSockets == "" && p.Metadata == ""
}

// Place is what the paths of a Partial are relative to.
type Place struct {
	Dir  string // the working directory of the command, absolute; "" if it is unknown
	Home string // the home directory of its user, absolute; "" if it is unknown
	// Hidden are the files of the server that no command may reach, absolute and clean.
	Hidden []string
}

// maxRelative is the longest path of a Partial. It is joined to another one, so it is a bound of what
// is read, and Check bounds the result.
const maxRelative = MaxPath

var (
	errEmpty  = errors.New("must not be empty")
	errUser   = errors.New(`must not begin with "~" and the name of a user: write "./~name" for a file of this name`)
	errNoHome = errors.New("is in the home directory, which is unknown: use an absolute path")
	errNoDir  = errors.New("is relative to the working directory, which is unknown: use an absolute path")
)

// absolute returns the absolute path of one of a Partial.
func (at *Place) absolute(text string) (string, error) {
	switch {
	case text == "":
		return "", errEmpty
	case len(text) > maxRelative:
		return "", fmt.Errorf("must be at most %d bytes long", maxRelative)
	case path.IsAbs(text):
		return path.Clean(text), nil
	case text == "~" || strings.HasPrefix(text, "~/"):
		if !path.IsAbs(at.Home) {
			return "", errNoHome
		}
		return path.Join(at.Home, text[1:]), nil
	case text[0] == '~':
		return "", errUser
	case !path.IsAbs(at.Dir):
		return "", errNoDir
	}
	return path.Join(at.Dir, text), nil
}

// errSystem is why a relative path must not be the root or in a system directory: a profile with a
// writable "." is not meant to make that writable for a command that is started there.
var errSystem = errors.New("is the root or in a system directory here: only a rule with an absolute path makes that writable")

// rule returns a rule with an absolute path, and with Missing set.
func (at *Place) rule(r Rule, missing Missing) (Rule, error) {
	text := r.Path
	var err error
	if r.Path, err = at.absolute(text); err != nil {
		return r, err
	}
	if r.Access == Write && text[0] != '/' && inSystem(r.Path) {
		return r, errSystem
	}
	if r.Missing == "" {
		r.Missing = missing
	}
	return r, checkPath(r.Path)
}
