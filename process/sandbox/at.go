package sandbox

import (
	"path"
	"slices"
	"strings"
)

// At returns the access to an absolute and clean path, in which no symbolic link is followed.
func (c *Config) At(file string) Access {
	if c.hides(file) {
		return None
	}
	if i := c.ruleOf(file); i >= 0 {
		return c.Files[i].Access
	}
	return c.FilesDefault
}

// ruleOf returns the index of the rule that applies to a path, or -1.
func (c *Config) ruleOf(file string) int {
	best := -1
	for i := range c.Files {
		if p := c.Files[i].Path; Below(file, p) && (best < 0 || len(p) > len(c.Files[best].Path)) {
			best = i
		}
	}
	return best
}

// hides reports whether a path is hidden, or below one that is.
func (c *Config) hides(file string) bool {
	return slices.ContainsFunc(c.Hidden, func(dir string) bool { return Below(file, dir) })
}

// mayCreate reports whether a directory may be made at a path that does not exist.
func (c *Config) mayCreate(file string) bool {
	return c.At(path.Dir(file)) == Write || slices.ContainsFunc(c.Files, func(r Rule) bool {
		return r.Path == file && r.Missing == Create
	})
}

// Below reports whether an absolute and clean path is that of a directory, or is in it.
func Below(file, dir string) bool {
	return strings.HasPrefix(file, dir) && (len(file) == len(dir) || dir == "/" || file[len(dir)] == '/')
}
