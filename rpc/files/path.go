package files

import (
	"fmt"
	"slices"
	"strings"
)

// Path is what a request names.
type Path struct {
	// Name is an absolute path of at most MaxPathBytes bytes, which need not be UTF-8. It has no "..":
	// what that leads to would depend on symbolic links. Empty components and "." are ignored.
	Name string
	// NoFollow refuses a path with a symbolic link (ErrSymlink). Remove and the source of Copy never
	// follow the last component, and do not refuse it.
	NoFollow bool
}

// check returns an *Error unless the path is valid.
func (p Path) check() error {
	why := ""
	switch {
	case !strings.HasPrefix(p.Name, "/"):
		why = "it must be absolute"
	case len(p.Name) > MaxPathBytes:
		return &Error{Path: p.Name[:64] + "...", Kind: ErrInvalidPath, Detail: fmt.Sprintf("it must have at most %d bytes", MaxPathBytes)}
	case strings.IndexByte(p.Name, 0) >= 0:
		why = "it must not contain NUL"
	case slices.Contains(strings.Split(p.Name, "/"), ".."):
		why = "it must not contain .."
	default:
		return nil
	}
	return &Error{Path: p.Name, Kind: ErrInvalidPath, Detail: why}
}

// components returns the names in a path.
func components(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// join returns the path of an entry of a directory, or of the directory if the name is empty.
func join(dir, name string) string {
	switch {
	case name == "":
		return dir
	case strings.HasSuffix(dir, "/"):
		return dir + name
	}
	return dir + "/" + name
}
