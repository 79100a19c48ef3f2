package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
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

// FileError is an error of a policy file. It is meant for the operator: it may contain any part of
// the file.
type FileError struct {
	File string // its path
	Line int    // from 1; 0 if it is not known
	Key  string // the path of the key, as in principal.ci.programs[0].path; "" if it is not known
	Err  error
}

func (e *FileError) Error() string {
	where := e.File
	if e.Line > 0 {
		where += fmt.Sprintf(":%d", e.Line)
	}
	if e.Key != "" {
		where += ": " + e.Key
	}
	return where + ": " + e.Err.Error()
}

// Unwrap returns the error itself.
func (e *FileError) Unwrap() error { return e.Err }

// Parse parses the text of a policy file, of which path is the name in errors. It looks up the users
// that the file names. Every error is a *FileError, or several joined.
func Parse(path string, text []byte, o Options) (*Policy, error) {
	if len(text) > MaxFileBytes {
		return nil, &FileError{File: path, Err: fmt.Errorf("is larger than %d bytes", MaxFileBytes)}
	}
	var f file
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&f); err != nil {
		return nil, syntaxError(path, err)
	}
	lines, odd := linesOf(text)
	c := compiler{path: path, lines: lines, options: o.withDefaults()}
	for _, key := range odd {
		c.bad(key, errors.New("unknown field: fields are in lower case"))
	}
	if odd != nil { // the paths of other errors would not be those of the file
		return nil, errors.Join(c.errs...)
	}
	p := c.policy(&f)
	if c.errs != nil {
		return nil, errors.Join(c.errs...)
	}
	return p, nil
}

// syntaxError converts an error of the decoder.
func syntaxError(path string, err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for i := range strict.Errors {
			line, _ := strict.Errors[i].Position()
			all = append(all, &FileError{path, line, strings.Join(strict.Errors[i].Key(), "."), errors.New("unknown field")})
		}
		return errors.Join(all...)
	}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := decode.Position()
		return &FileError{path, line, strings.Join(decode.Key(), "."), errors.New(strings.TrimPrefix(decode.Error(), "toml: "))}
	}
	return &FileError{File: path, Err: err}
}

// compiler makes a Policy of a file, and collects errors.
type compiler struct {
	path    string
	lines   lines
	options Options
	errs    []error
}

// bad adds an error of a key.
func (c *compiler) bad(key string, err error) {
	if len(c.errs) < maxErrors {
		c.errs = append(c.errs, &FileError{c.path, c.lines.of(key), key, err})
	}
}

// maxErrors is the largest number of errors that are reported of one file.
const maxErrors = 20

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
			key := kind.name + "." + quoteKey(name)
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
