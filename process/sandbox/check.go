package sandbox

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// MaxRules is the most rules of a Config.
	MaxRules = 256
	// MaxDestinations is the most destinations of a Config.
	MaxDestinations = 256
	// MaxPath is the longest path in bytes: PATH_MAX without the NUL.
	MaxPath = 4095
)

// FieldError means that a field is not valid.
type FieldError struct {
	Field string   // as in an execute, below sandbox: "files[2].path"; "" is the whole
	Text  string   // what is wrong, as in "must be an absolute path"
	Known []string // the values that the field takes, if they are few
}

func (e *FieldError) Error() string { return strings.TrimPrefix(e.Field+" "+e.Text, " ") }

func invalid(field, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Text: fmt.Sprintf(format, args...)}
}

// Check returns a *FieldError unless c is a valid Config.
func (c *Config) Check() error {
	if err := checkCount(len(c.Files)); err != nil {
		return err
	}
	first := make(map[string]int, len(c.Files)) // by path
	for i := range c.Files {
		r := &c.Files[i]
		field := fmt.Sprintf("files[%d]", i)
		if err := checkPath(r.Path); err != nil {
			return invalid(field+".path", "%v", err)
		}
		if other, ok := first[r.Path]; ok {
			return invalid(field+".path", "is the same as that of files[%d]", other)
		}
		first[r.Path] = i
		if err := r.check(field); err != nil {
			return err
		}
	}
	for _, file := range c.Hidden {
		if err := checkAbsolute(file); err != nil {
			return invalid("", "has a hidden path that %v", err)
		}
	}
	return c.checkScalars()
}

func checkCount(rules int) error {
	if rules > MaxRules {
		return invalid("files", "must have at most %d elements, and has %d with those of its profile or floor", MaxRules, rules)
	}
	return nil
}

// checkPath returns an error unless a rule may have a path.
func checkPath(file string) error {
	if err := checkAbsolute(file); err != nil {
		return err
	}
	if reserved(file) {
		return errReserved
	}
	return nil
}

var errReserved = errors.New("must not be in /proc, /dev or /sys, which have the same content in every sandbox")

// checkAbsolute returns an error unless file is an absolute and clean path.
func checkAbsolute(file string) error {
	switch {
	case !path.IsAbs(file) || path.Clean(file) != file:
		return errors.New("must be an absolute path in its shortest form")
	case len(file) > MaxPath:
		return fmt.Errorf("must be at most %d bytes long", MaxPath)
	case strings.IndexByte(file, 0) >= 0:
		return errors.New("contains NUL")
	}
	return nil
}

// reserved reports whether what a path names does not depend on rules.
func reserved(file string) bool {
	return Below(file, "/proc") || Below(file, "/dev") || Below(file, "/sys")
}

// check checks all of a rule but its path.
func (r *Rule) check(field string) error {
	if err := oneOf(field+".access", r.Access, accesses); err != nil {
		return err
	}
	return oneOf(field+".missing", r.Missing, []Missing{Skip, Create, Refuse})
}

// oneOf returns an error unless v is one of the values of a field.
func oneOf[T ~string](field string, v T, of []T) error {
	if slices.Contains(of, v) {
		return nil
	}
	names := make([]string, len(of))
	for i, name := range of {
		names[i] = string(name)
	}
	return &FieldError{field, "must be one of " + strings.Join(names, ", "), names}
}

func (c *Config) checkScalars() error {
	if err := oneOf("files_default", c.FilesDefault, []Access{None, Read}); err != nil {
		return err
	}
	if err := c.Network.check(); err != nil {
		return err
	}
	if err := oneOf("processes", c.Processes, processScope); err != nil {
		return err
	}
	if err := oneOf("tmp", c.Tmp, tmpScope); err != nil {
		return err
	}
	if err := oneOf("devices", c.Devices, []Devices{MinimalDevices}); err != nil {
		return err
	}
	if err := oneOf("unix_sockets", c.UnixSockets, unixSockets); err != nil {
		return err
	}
	return oneOf("metadata", c.Metadata, metadata)
}

func (n *Network) check() error {
	if err := oneOf("network", n.Mode, modes); err != nil {
		return err
	}
	if n.Mode != AllowList && len(n.Allow) > 0 {
		return invalid("network.allow", "must not be set with %s", n.Mode)
	}
	if len(n.Allow) > MaxDestinations {
		return invalid("network.allow", "must have at most %d elements, and has %d", MaxDestinations, len(n.Allow))
	}
	for i, d := range n.Allow {
		if err := d.check(); err != nil {
			return invalid(fmt.Sprintf("network.allow[%d]", i), "%v", err)
		}
	}
	return nil
}
