package sandbox

import (
	"fmt"
	"slices"
)

// ExceedsError means that a field asks for more than the floor permits. It does not say what the
// floor permits.
type ExceedsError struct {
	Field string // as in an execute, below sandbox: "files[2]", "network.allow[0]", "profile"
}

func (e *ExceedsError) Error() string {
	return inSandbox(e.Field) + " asks for more than is permitted"
}

// inSandbox returns the path of a field in an execute.
func inSandbox(field string) string {
	if field == "" {
		return "sandbox"
	}
	return "sandbox." + field
}

// Within returns an *ExceedsError unless c permits no more than floor: at every path, to every
// destination, and in every other respect. It names the first field that does. A rule that makes a
// directory where none is asks for writing to the directory above it.
//
// It compares names of files. What they lead to is compared by [Config.Resolved].
func (c *Config) Within(floor *Config) error {
	if field := c.filesBeyond(floor); field != "" {
		return &ExceedsError{field}
	}
	if field := c.Network.beyond(&floor.Network); field != "" {
		return &ExceedsError{field}
	}
	switch {
	case exceeds(processScope, c.Processes, floor.Processes):
		return &ExceedsError{"processes"}
	case exceeds(tmpScope, c.Tmp, floor.Tmp):
		return &ExceedsError{"tmp"}
	case exceeds(unixSockets, c.UnixSockets, floor.UnixSockets):
		return &ExceedsError{"unix_sockets"}
	case exceeds(metadata, c.Metadata, floor.Metadata):
		return &ExceedsError{"metadata"}
	}
	return nil
}

// filesBeyond returns the name of the field that permits more of the files than floor does, or "".
// The access changes at the paths of rules only, so no others have to be compared.
func (c *Config) filesBeyond(floor *Config) string {
	for i := range c.Files {
		r := &c.Files[i]
		if exceeds(accesses, c.At(r.Path), floor.At(r.Path)) || r.Missing == Create && !floor.mayCreate(r.Path) {
			return fmt.Sprintf("files[%d]", i)
		}
	}
	for _, file := range slices.Concat([]string{"/"}, paths(floor.Files), floor.Hidden) {
		if exceeds(accesses, c.At(file), floor.At(file)) {
			if i := c.ruleOf(file); i >= 0 {
				return fmt.Sprintf("files[%d]", i)
			}
			return "files_default"
		}
	}
	return ""
}

func paths(rules []Rule) []string {
	all := make([]string, len(rules))
	for i := range rules {
		all[i] = rules[i].Path
	}
	return all
}

// beyond returns the name of the field that permits more than floor does, or "".
func (n *Network) beyond(floor *Network) string {
	if exceeds(modes, n.Mode, floor.Mode) {
		return "network"
	}
	if n.Mode != AllowList || floor.Mode != AllowList {
		return ""
	}
	for i, d := range n.Allow {
		if !slices.ContainsFunc(floor.Allow, func(f Destination) bool { return f.covers(d) }) {
			return fmt.Sprintf("network.allow[%d]", i)
		}
	}
	return ""
}
