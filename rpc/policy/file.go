package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

// MaxFileBytes is the largest policy file.
const MaxFileBytes = 1 << 20

// file is a policy as it is written.
type file struct {
	Default   *sectionText           `toml:"default"`
	Group     map[string]sectionText `toml:"group"`
	Principal map[string]sectionText `toml:"principal"`
}

type sectionText struct {
	Methods     []string        `toml:"methods"`
	Shell       bool            `toml:"shell"`
	Programs    []programText   `toml:"programs"`
	Directories []string        `toml:"directories"`
	Directory   string          `toml:"directory"`
	Environment environmentText `toml:"environment"`
	User        string          `toml:"user"`
	Users       []string        `toml:"users"`
	Groups      []string        `toml:"groups"`
	SetUserID   bool            `toml:"set_user_id_programs"`
	Max         amountsText     `toml:"max"`
	Defaults    amountsText     `toml:"defaults"`
	MinNice     *int64          `toml:"min_nice"`
	Sandbox     string          `toml:"sandbox"`
}

type programText struct {
	Path     string   `toml:"path"`
	Args     []string `toml:"args"`
	Writable bool     `toml:"writable"`
}

type environmentText struct {
	Pass   []string          `toml:"pass"`
	Accept []string          `toml:"accept"`
	Deny   []string          `toml:"deny"`
	Set    map[string]string `toml:"set"`
	Drop   bool              `toml:"drop"`
}

// amountsText are limits and times, in the units of execute.
type amountsText struct {
	CPUSeconds    *int64   `toml:"cpu_seconds"`
	MemoryBytes   *int64   `toml:"memory_bytes"`
	Processes     *int64   `toml:"processes"`
	OpenFiles     *int64   `toml:"open_files"`
	FileBytes     *int64   `toml:"file_bytes"`
	Timeout       *float64 `toml:"timeout"`
	StreamTimeout *float64 `toml:"stream_timeout"`
	Grace         *float64 `toml:"grace"`
	Linger        *float64 `toml:"linger"`
}

// Parse parses the text of a policy file, of which path is the name in errors. It looks up the users
// that the file names. Every error is a *tomlfile.Error, or several joined.
func Parse(path string, text []byte, o Options) (*Policy, error) {
	if len(text) > MaxFileBytes {
		return nil, &tomlfile.Error{File: path, Err: fmt.Errorf("is larger than %d bytes", MaxFileBytes)}
	}
	var f file
	lines, err := tomlfile.Decode(path, text, &f, isMap)
	if err != nil {
		return nil, err
	}
	c := compiler{path: path, lines: lines, options: o.withDefaults()}
	p := c.policy(&f)
	if c.errs != nil {
		return nil, errors.Join(c.errs...)
	}
	return p, nil
}

// isMap reports whether the keys below a path of a policy file are any names, and not fields.
func isMap(path string) bool {
	return path == "group" || path == "principal" || strings.HasSuffix(path, ".environment.set")
}

// compiler makes a Policy of a file, and collects errors.
type compiler struct {
	path    string
	lines   tomlfile.Lines
	options Options
	errs    []error
}

// bad adds an error of a key.
func (c *compiler) bad(key string, err error) {
	if len(c.errs) < tomlfile.MaxErrors {
		c.errs = append(c.errs, &tomlfile.Error{File: c.path, Line: c.lines.Of(key), Key: key, Err: err})
	}
}

func (c *compiler) policy(f *file) *Policy {
	p := &Policy{principals: map[string]*section{}, groups: map[string]*section{}, options: c.options}
	if f.Default != nil {
		p.byDefault = c.section("default", f.Default)
	}
	for _, kind := range []struct {
		name string
		from map[string]sectionText
		to   map[string]*section
	}{{"group", f.Group, p.groups}, {"principal", f.Principal, p.principals}} {
		for _, name := range sortedKeys(kind.from) {
			text := kind.from[name]
			key := kind.name + "." + tomlfile.QuoteKey(name)
			if err := c.options.validName(kind.name, name); err != nil {
				c.bad(key, err)
				continue
			}
			kind.to[name] = c.section(key, &text)
		}
	}
	p.setTrust()
	return p
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
