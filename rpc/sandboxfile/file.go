package sandboxfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

// MaxFileBytes is the largest file.
const MaxFileBytes = 1 << 20

// file is a file as it is written.
type file struct {
	Deny    []string      `toml:"deny"`
	Profile []profileText `toml:"profile"`
}

type profileText struct {
	Name         string     `toml:"name"`
	Files        []ruleText `toml:"files"`
	FilesDefault string     `toml:"files_default"`
	Network      string     `toml:"network"`
	Allow        []string   `toml:"allow"`
	Processes    string     `toml:"processes"`
	Tmp          string     `toml:"tmp"`
	Devices      string     `toml:"devices"`
	UnixSockets  string     `toml:"unix_sockets"`
	Metadata     string     `toml:"metadata"`
}

type ruleText struct {
	Path    string `toml:"path"`
	Access  string `toml:"access"`
	Missing string `toml:"missing"`
}

// Parse parses the text of a file, of which path is the name in errors. Every error is a
// *tomlfile.Error, or several joined. It uses no file.
func Parse(path string, text []byte) (*sandbox.Profiles, error) {
	if len(text) > MaxFileBytes {
		return nil, &tomlfile.Error{File: path, Err: fmt.Errorf("is larger than %d bytes", MaxFileBytes)}
	}
	var f file
	lines, err := tomlfile.Decode(path, text, &f, nil)
	if err != nil {
		return nil, err
	}
	c := compiler{path: path, lines: lines}
	p := c.profiles(&f)
	if c.errs != nil {
		return nil, errors.Join(c.errs...)
	}
	return p, nil
}

// compiler makes Profiles of a file, and collects errors.
type compiler struct {
	path  string
	lines tomlfile.Lines
	errs  []error
}

// bad adds an error of a key.
func (c *compiler) bad(key string, err error) {
	if len(c.errs) < tomlfile.MaxErrors {
		c.errs = append(c.errs, &tomlfile.Error{File: c.path, Line: c.lines.Of(key), Key: key, Err: err})
	}
}

// tooMany adds an error if a list is too long, and reports whether it is.
func (c *compiler) tooMany(key string, n, most int) bool {
	if n > most {
		c.bad(key, fmt.Errorf("at most %d elements, not %d", most, n))
	}
	return n > most
}

func (c *compiler) profiles(f *file) *sandbox.Profiles {
	if c.tooMany("deny", len(f.Deny), sandbox.MaxDeny) || c.tooMany("profile", len(f.Profile), sandbox.MaxProfiles) {
		return nil
	}
	for i, path := range f.Deny {
		if err := sandbox.CheckDeny(path); err != nil {
			c.bad(fmt.Sprintf("deny[%d]", i), fmt.Errorf("%q %w", path, err))
		}
	}
	profiles := make(map[string]sandbox.Partial, len(f.Profile))
	for i := range f.Profile {
		text, key := &f.Profile[i], fmt.Sprintf("profile[%d]", i)
		p := c.profile(text, key)
		if err := sandbox.CheckName(text.Name); err != nil {
			c.bad(key+".name", fmt.Errorf("%q %w", text.Name, err))
		} else if _, twice := profiles[text.Name]; twice {
			c.bad(key+".name", fmt.Errorf("%q is there twice", text.Name))
		}
		profiles[text.Name] = p
	}
	return sandbox.NewProfiles(f.Deny, profiles)
}

func (c *compiler) profile(text *profileText, key string) sandbox.Partial {
	p := sandbox.Partial{
		FilesDefault: sandbox.Access(text.FilesDefault),
		Processes:    sandbox.Scope(text.Processes),
		Tmp:          sandbox.Scope(text.Tmp),
		Devices:      sandbox.Devices(text.Devices),
		UnixSockets:  sandbox.UnixSockets(text.UnixSockets),
		Metadata:     sandbox.Metadata(text.Metadata),
	}
	for _, r := range text.Files {
		p.Files = append(p.Files, sandbox.Rule{Path: r.Path, Access: sandbox.Access(r.Access), Missing: sandbox.Missing(r.Missing)})
	}
	if !c.network(&p.Network, text, key) {
		return p
	}
	if err, ok := errors.AsType[*sandbox.FieldError](p.Check()); ok {
		c.bad(key+"."+strings.TrimPrefix(err.Field, "network."), errors.New(err.Text))
	}
	return p
}

// network sets the network of a profile, and reports whether it is valid.
func (c *compiler) network(n *sandbox.Network, text *profileText, key string) bool {
	n.Mode = sandbox.Mode(text.Network)
	switch {
	case text.Allow == nil && n.Mode == sandbox.AllowList:
		c.bad(key+".network", fmt.Errorf("%q requires the list allow", n.Mode))
		return false
	case text.Allow == nil:
		return true
	case n.Mode != "" && n.Mode != sandbox.AllowList:
		c.bad(key+".allow", fmt.Errorf("must not be set with the network %q", n.Mode))
		return false
	case c.tooMany(key+".allow", len(text.Allow), sandbox.MaxDestinations):
		return false
	}
	n.Mode = sandbox.AllowList
	valid := true
	for i, destination := range text.Allow {
		d, err := sandbox.ParseDestination(destination)
		if err != nil {
			c.bad(fmt.Sprintf("%s.allow[%d]", key, i), fmt.Errorf("%q %w", destination, err))
			valid = false
		}
		n.Allow = append(n.Allow, d)
	}
	return valid
}
