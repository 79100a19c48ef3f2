package sandbox

import (
	"slices"
	"syscall"
)

// Resolved returns c with the paths that its names lead to. A name that is within the floor may lead
// beyond it: a command that may write to a directory can make a symbolic link there, and the next
// request name the link. So whoever enforces c opens the files first, and then enforces the result.
//
// real returns the absolute path, without symbolic links, that a path leads to. If its last component
// does not exist, that is in the result as it is, and "" if a directory on the way does not exist.
// Directories are made (Create) only after Resolved.
//
// The rules keep their order, so an index is that of the same rule. Rules that lead to the same file
// have the least of their accesses, and what leads to a hidden file has None and is not made. An error is an
// *ExceedsError if c permits more than its Floor, and a *PathError with EACCES if a rule leads into
// /proc, /dev or /sys.
func (c *Config) Resolved(real func(path string) string) (*Config, error) {
	r, err := c.resolved(real)
	if err != nil || c.Floor == nil {
		return r, err
	}
	if r.Floor, err = c.Floor.resolved(real); err != nil {
		return nil, err
	}
	return r, r.Within(r.Floor)
}

func (c *Config) resolved(real func(path string) string) (*Config, error) {
	or := func(file string) string {
		if resolved := real(file); resolved != "" {
			return resolved
		}
		return file
	}
	r := *c
	r.Hidden = make([]string, len(c.Hidden))
	for i, file := range c.Hidden {
		r.Hidden[i] = or(file)
	}
	slices.Sort(r.Hidden)
	r.Hidden = slices.Compact(r.Hidden)
	r.Files = make([]Rule, len(c.Files))
	access := make(map[string]Access, len(c.Files))
	for i, rule := range c.Files {
		file := or(rule.Path)
		if reserved(file) {
			return nil, &PathError{Path: rule.Path, Err: syscall.EACCES}
		}
		if r.hides(file) {
			rule.Access = None
			if rule.Missing == Create {
				rule.Missing = Skip
			}
		}
		if other, ok := access[file]; ok {
			rule.Access = least(accesses, rule.Access, other)
		}
		access[file] = rule.Access
		rule.Path = file
		r.Files[i] = rule
	}
	for i := range r.Files {
		r.Files[i].Access = access[r.Files[i].Path]
	}
	return &r, nil
}
