package rpc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Command is what an execute runs: a string for the shell, or an argument vector. Exactly one is set. Their
// strings may hold any bytes, as [Bytes] do.
type Command struct {
	Shell string
	Argv  []string
}

var errNoCommand = errors.New("must be a string or an array of strings")

// UnmarshalJSON takes [Bytes] or an array of them, neither of them empty.
func (c *Command) UnmarshalJSON(b []byte) (err error) {
	*c = Command{}
	s := scanner{text: bytes.TrimSpace(b)}
	switch s.peek() {
	case '"', '{':
		c.Shell, err = commandText(&s)
		if err == nil && strings.TrimSpace(c.Shell) == "" {
			err = problemf("must not be empty")
		}
	case '[':
		err = c.unmarshalArgv(&s)
	default:
		return errNoCommand
	}
	if err == nil {
		err = s.end()
	}
	return err
}

func (c *Command) unmarshalArgv(s *scanner) error {
	err := s.elements(func() error {
		arg, err := commandText(s)
		if err != nil {
			return within("["+strconv.Itoa(len(c.Argv))+"]", err)
		}
		c.Argv = append(c.Argv, arg)
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(c.Argv) == 0:
		return problemf("must not be empty")
	case c.Argv[0] == "":
		return problemf("must not name an empty program")
	}
	return nil
}

// commandText decodes the value at s, a command or an argument.
func commandText(s *scanner) (string, error) {
	raw, err := s.value()
	if err != nil {
		return "", err
	}
	return bytesValue(raw)
}

// MarshalJSON gives the form that it came in.
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

// String is the command for a person: the shell string, or the arguments with spaces between.
func (c Command) String() string {
	if c.Argv != nil {
		return strings.Join(c.Argv, " ")
	}
	return c.Shell
}

// IsText reports whether the command is UTF-8 throughout.
func (c Command) IsText() bool {
	return utf8.ValidString(c.Shell) && !slices.ContainsFunc(c.Argv, func(arg string) bool { return !utf8.ValidString(arg) })
}

// Text is the command with each byte that is not part of valid UTF-8 as one U+FFFD.
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

// Base64Command is a [Command] whose strings are written in base64.
type Base64Command Command

// UnmarshalJSON takes a string or an array of strings.
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

// MarshalJSON gives the form of the command itself.
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
