package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// Command is what execute runs: a string for the shell, or an array with a program and its
// arguments.
//
// Exactly one of the fields is set. The strings may hold any bytes, as [Bytes] do.
type Command struct {
	Shell string
	Argv  []string
}

var (
	errNotCommand   = errors.New("must be a string or an array of strings")
	errEmptyCommand = errors.New("must not be empty")
	errEmptyProgram = errors.New("must not have an empty program name")
)

// UnmarshalJSON accepts [Bytes] or an array of them, neither of them empty.
func (c *Command) UnmarshalJSON(raw []byte) error {
	*c = Command{}
	switch wire.KindOf(raw) {
	case wire.String, wire.Object:
		return c.unmarshalShell(raw)
	case wire.Array:
		return c.unmarshalArgv(raw)
	}
	return errNotCommand
}

func (c *Command) unmarshalShell(raw []byte) error {
	if err := (*Bytes)(&c.Shell).UnmarshalJSON(raw); err != nil {
		return err
	}
	if strings.TrimSpace(c.Shell) == "" {
		return errEmptyCommand
	}
	return nil
}

func (c *Command) unmarshalArgv(raw []byte) error {
	var argv []argument
	if err := wire.Decode(raw, &argv); err != nil {
		return err
	}
	switch {
	case len(argv) == 0:
		return errEmptyCommand
	case argv[0] == "":
		return errEmptyProgram
	}
	c.Argv = make([]string, len(argv))
	for i, arg := range argv {
		c.Argv[i] = string(arg)
	}
	return nil
}

// argument is [Bytes] that must not be null.
type argument string

// UnmarshalJSON accepts what [Bytes] accept, except null.
func (a *argument) UnmarshalJSON(raw []byte) error {
	if wire.KindOf(raw) == wire.Null {
		return errNotBytes
	}
	return (*Bytes)(a).UnmarshalJSON(raw)
}

// MarshalJSON writes the form that is set.
func (c Command) MarshalJSON() ([]byte, error) {
	if c.Argv == nil {
		return appendBytes(nil, c.Shell), nil
	}
	b := []byte{'['}
	for i, arg := range c.Argv {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBytes(b, arg)
	}
	return append(b, ']'), nil
}

// String returns the shell string, or the arguments joined with spaces. It is meant for people.
func (c Command) String() string {
	if c.Argv != nil {
		return strings.Join(c.Argv, " ")
	}
	return c.Shell
}

// IsText reports whether the whole command is UTF-8.
func (c Command) IsText() bool {
	invalid := func(arg string) bool { return !utf8.ValidString(arg) }
	return utf8.ValidString(c.Shell) && !slices.ContainsFunc(c.Argv, invalid)
}

// Text returns the command with each byte that is not part of valid UTF-8 replaced by U+FFFD.
func (c Command) Text() Command {
	if c.IsText() {
		return c
	}
	t := Command{Shell: replaced(c.Shell)}
	for _, arg := range c.Argv {
		t.Argv = append(t.Argv, replaced(arg))
	}
	return t
}

// Base64Command is a [Command] whose strings are in base64 in JSON.
type Base64Command Command

// UnmarshalJSON accepts a string or an array of strings.
func (c *Base64Command) UnmarshalJSON(b []byte) error {
	*c = Base64Command{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '[' {
		var shell []byte
		err := json.Unmarshal(b, &shell)
		c.Shell = string(shell)
		return err
	}
	var argv [][]byte
	err := json.Unmarshal(b, &argv)
	for _, arg := range argv {
		c.Argv = append(c.Argv, string(arg))
	}
	return err
}

// MarshalJSON writes the form that is set.
func (c Base64Command) MarshalJSON() ([]byte, error) {
	if c.Argv == nil {
		return json.Marshal(base64.StdEncoding.EncodeToString([]byte(c.Shell)))
	}
	argv := make([]string, 0, len(c.Argv))
	for _, arg := range c.Argv {
		argv = append(argv, base64.StdEncoding.EncodeToString([]byte(arg)))
	}
	return json.Marshal(argv)
}
