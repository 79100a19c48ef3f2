package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// MaxProfiles is the most profiles that an operator may define.
	MaxProfiles = 256
	// MaxDeny is the most paths that an operator may deny.
	MaxDeny = 256
	// maxProfileName is the longest name of a profile in bytes.
	maxProfileName = 63
)

// The names of the profiles that are built in.
const (
	// Off is no sandbox. With other fields, it is a sandbox that permits everything else that a
	// sandbox can permit.
	Off = "off"
	// ReadOnly makes all files readable, except those that are hidden. The command has a private /tmp,
	// no network, and does not see other processes.
	ReadOnly = "read-only"
	// Workspace is ReadOnly, and the working directory is writable.
	Workspace = "workspace"
)

// BuiltIn are the names of the profiles that are built in.
var BuiltIn = []string{Off, ReadOnly, Workspace}

// readOnly is what a profile, or a request without a floor, gets for what it leaves out.
var readOnly = Config{
	FilesDefault: Read, Network: Network{Mode: NoNetwork}, Processes: Own, Tmp: Private,
	Devices: MinimalDevices, UnixSockets: NoUnixSockets, Metadata: WritableMetadata,
}

var builtIn = map[string]Partial{
	ReadOnly:  {},
	Workspace: {Files: []Rule{{Path: ".", Access: Write}}},
	Off: {
		Files: []Rule{{Path: "/", Access: Write}}, Network: Network{Mode: FullNetwork},
		Processes: Shared, Tmp: Shared, UnixSockets: FullUnixSockets, Metadata: FullMetadata,
	},
}

// Profiles are the profiles of a server, and what its operator denies to every command that has a
// sandbox. Nil has the built-in profiles and denies nothing.
type Profiles struct {
	deny     []string // absolute and clean, or below "~/"
	profiles map[string]Partial
}

// NewProfiles returns the built-in profiles and those of an operator, which must be valid by
// [CheckName], [CheckDeny] and [Partial.Check].
func NewProfiles(deny []string, profiles map[string]Partial) *Profiles {
	return &Profiles{slices.Clone(deny), maps.Clone(profiles)}
}

// CheckName returns an error unless an operator may give a profile this name: letters in lower case,
// digits, "-", "_" and ".", beginning with a letter, at most 63 bytes, and not that of a built-in one.
func CheckName(name string) error {
	if name == "" || len(name) > maxProfileName || name[0] < 'a' || name[0] > 'z' {
		return fmt.Errorf("must begin with a letter in lower case, and have 1 to %d bytes", maxProfileName)
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return errors.New(`must consist of letters in lower case, digits, ".", "-" and "_" only`)
		}
	}
	if slices.Contains(BuiltIn, name) {
		return errors.New("is that of a profile that is built in")
	}
	return nil
}

// CheckDeny returns an error unless a path may be denied: an absolute and clean one, or one below
// "~/", that is nothing without which no command can be started.
func CheckDeny(file string) error {
	below, home := strings.CutPrefix(file, "~")
	if home {
		file = below
	}
	if file == "/" || home && file == "" {
		return errors.New("must not be a whole file system or home directory")
	}
	if !home && (file == "/proc" || file == "/dev") {
		return errors.New("is in every sandbox: only what is in it can be denied")
	}
	if err := checkAbsolute(file); err != nil {
		return fmt.Errorf(`%w, or begin with "~/"`, err)
	}
	return nil
}

// Check returns a *FieldError unless p may be a profile, with which something can be started.
func (p *Partial) Check() error {
	names := paths(p.Files)
	for i := range names {
		if other := slices.Index(names[:i], names[i]); other >= 0 {
			return invalid(fmt.Sprintf("files[%d].path", i), "is the same as that of files[%d]", other)
		}
	}
	c, at := readOnly, Place{Dir: "/dir", Home: "/home"}
	if err := c.overlay(p, Skip, &at); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	return c.checkStart(&at)
}

// checkStart returns a *FieldError if no command can be started, wherever it is and whatever files
// there are.
func (c *Config) checkStart(at *Place) error {
	if i := c.ruleOf(at.Dir); i >= 0 && c.Files[i].Path == at.Dir && c.Files[i].Access == None {
		return invalid(fmt.Sprintf("files[%d].access", i), "hides the working directory, so that no command can be started")
	}
	if i := slices.IndexFunc(c.Files, func(r Rule) bool { return r.Path == "/" && r.Access == None }); i >= 0 {
		return invalid(fmt.Sprintf("files[%d].access", i), `hides the root directory, so that no command can be started: set files_default to "none" instead`)
	}
	visible := func(r Rule) bool { return r.Access != None }
	if c.FilesDefault == None && !slices.ContainsFunc(c.Files, visible) {
		return invalid("files_default", "leaves nothing visible without a rule for a program and one for the working directory, so that no command can be started")
	}
	return nil
}

// Names returns the names of all profiles: the built-in ones, and then the others, sorted.
func (p *Profiles) Names() []string {
	if p == nil {
		return BuiltIn
	}
	return slices.Concat(BuiltIn, slices.Sorted(maps.Keys(p.profiles)))
}

func (p *Profiles) find(name string) (Partial, bool) {
	if profile, ok := builtIn[name]; ok || p == nil {
		return profile, ok
	}
	profile, ok := p.profiles[name]
	return profile, ok
}

// hidden returns what no command may reach. What is denied in a home directory is not there if there
// is no home directory.
func (p *Profiles) hidden(at *Place) []string {
	all := slices.Clone(at.Hidden)
	if p != nil {
		for _, file := range p.deny {
			if absolute, err := at.absolute(file); err == nil {
				all = append(all, absolute)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
