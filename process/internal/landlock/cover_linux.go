package landlock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// place is a path of a plan, or a directory on the way to one.
type place struct {
	path  string
	below map[string]*place // by name
	// What follows is of a path of the plan, for which set is true.
	set    bool
	file   file
	access uint64
	rule   int // its index in Config.Files, -1 if it is not of a rule of the sandbox
}

// next returns the place below n on the way to a path, nil if there is none.
func (n *place) next(path string) *place {
	rest := strings.Trim(strings.TrimPrefix(path, n.path), "/")
	name, _, _ := strings.Cut(rest, "/")
	return n.below[name]
}

// find returns the place of a path, nil if there is none.
func (n *place) find(path string) *place {
	for n != nil && n.path != path {
		n = n.next(path)
	}
	return n
}

// maxPlaces bounds the places of a plan: the paths of rules and of what is never accessible, and the
// directories above them. Those above one another have a descriptor at the same time.
const maxPlaces = 512

// at returns the place of a path, which it adds if there is none.
func (p *plan) at(path string) (*place, error) {
	n := &p.root
	for n.path != path {
		next := n.next(path)
		if next == nil {
			if p.places >= maxPlaces {
				return nil, notEnforceable(-1, fmt.Sprintf("it has more than %d paths, with the directories above them", maxPlaces))
			}
			p.places++
			rest := strings.Trim(strings.TrimPrefix(path, n.path), "/")
			name, _, _ := strings.Cut(rest, "/")
			next = &place{path: filepath.Join(n.path, name), rule: -1}
			if n.below == nil {
				n.below = map[string]*place{}
			}
			n.below[name] = next
		}
		n = next
	}
	return n, nil
}

// put sets the access to a path and all that is below it. A later call for the same path replaces an
// earlier one. The plan closes the file, also after an error.
func (p *plan) put(f file, access uint64, rule int) error {
	n, err := p.at(f.path)
	if err != nil {
		_ = unix.Close(f.fd)
		return err
	}
	if n.set {
		_ = unix.Close(n.file.fd)
	}
	n.set, n.file, n.access, n.rule = true, f, access, rule
	return nil
}

func (n *place) close() {
	if n.set {
		_ = unix.Close(n.file.fd)
	}
	for _, below := range n.below {
		below.close()
	}
}

// governing is what decides about a place that has no access of its own: the nearest one above it.
type governing struct {
	access uint64
	rule   int
}

// cover adds the rules for a place, of which fd is a descriptor, and for all that is below it. given
// is the access that rules for directories above it give already, which is at most that of every
// place in it.
func (p *plan) cover(n *place, fd int, given uint64, by governing) error {
	dir := true
	if n.set {
		by, dir = governing{n.access, n.rule}, n.file.dir
	}
	common, least := n.common(by.access)
	if err := p.allow(fd, dir, common&^given); err != nil {
		return p.limit(err, by, least)
	}
	given |= common
	if rest := by.access &^ given; rest != 0 {
		if err := p.allowSiblings(n, fd, rest); err != nil {
			return p.limit(err, by, least)
		}
	}
	for name, below := range n.below {
		if err := p.coverBelow(fd, name, below, given, by); err != nil {
			return err
		}
	}
	return nil
}

// coverBelow covers an entry of the directory that dir is a descriptor of. Each step is made from a
// descriptor, so that no symbolic link which is put there meanwhile is followed.
func (p *plan) coverBelow(dir int, name string, n *place, given uint64, by governing) error {
	if n.set {
		return p.cover(n, n.file.fd, given, by)
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	defer unix.Close(fd)
	return p.cover(n, fd, given, by)
}

// Errors of plan.cover that the client gets as a sandbox.NotEnforceableError.
var (
	errBelowWritable = errors.New("not writable below a writable directory")
	errRootNotListed = errors.New("the root directory cannot be listed")
)

// limit makes the error for the client of an error of a place. It is that of the rule which asks for
// less than what is above it, or of the rule that is above.
func (p *plan) limit(err error, above governing, least *place) error {
	rule := above.rule
	if least != nil && least.rule >= 0 {
		rule = least.rule
	}
	switch {
	case errors.Is(err, errBelowWritable) && rule == above.rule:
		return notEnforceable(rule, "something below it must not be accessible, such as the state directory of Runnel, by default ~/.local/state/runnel")
	case errors.Is(err, errBelowWritable):
		return notEnforceable(rule, "it is below a writable directory")
	case errors.Is(err, errTooMany):
		return notEnforceable(rule, fmt.Sprintf("it has too many files beside it and its parents: a ruleset has at most %d rules", maxRules))
	case errors.Is(err, errRootNotListed): // the server is in such a sandbox itself
		return notEnforceable(-1, "the server may not list the root directory")
	}
	return err
}

// common returns the part of an access that all places below n have, too, and one of those that do
// not have all of it. What only directories have does not count for other files.
func (n *place) common(access uint64) (common uint64, least *place) {
	common = access
	for _, below := range n.below {
		theirs, inner := access, (*place)(nil)
		if below.set {
			theirs, inner = below.access, below
			if !below.file.dir {
				theirs |= ^uint64(ofFiles)
			}
		}
		deeper, found := below.common(access & theirs)
		if access&^theirs == 0 {
			inner = found
		}
		if access&^deeper != 0 && (least == nil || least.rule < 0) {
			least = inner
		}
		common &= deeper
	}
	return common, least
}

// allowSiblings adds rules for all entries of a directory except those that are places. An entry that
// is a symbolic link needs none: the access to what it leads to counts.
func (p *plan) allowSiblings(n *place, fd int, access uint64) error {
	if access&^read != 0 {
		return errBelowWritable
	}
	listing, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES && n != &p.root {
		return nil // then nothing is given: only what has a rule of its own is accessible
	}
	if err == unix.EACCES {
		return errRootNotListed
	}
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	dir := os.NewFile(uintptr(listing), n.path)
	defer dir.Close()
	for {
		const some = 128
		entries, err := dir.ReadDir(some)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if p.entries += len(entries); p.entries > p.most {
			return errTooMany
		}
		for _, e := range entries {
			if n.below[e.Name()] != nil || e.Type()&(fs.ModeSymlink|fs.ModeDevice) != 0 {
				continue
			}
			if err := p.allowEntry(listing, e, access); err != nil {
				return err
			}
		}
	}
}

// allowEntry adds a rule for an entry of a directory. It asks no file system about the entry, which
// may be the root of one that does not answer.
func (p *plan) allowEntry(dir int, e fs.DirEntry, access uint64) error {
	fd, err := unix.Openat(dir, e.Name(), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.EACCES {
		return nil // it was removed, or cannot be reached
	}
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	defer unix.Close(fd)
	return p.allow(fd, e.IsDir(), access)
}
