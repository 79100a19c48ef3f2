package landlock

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// A rule of Landlock is for a directory, whatever the path by which it was found. So if another mount
// shows a directory above what is not accessible, a rule for it there would give access here, too.
// Therefore what is excluded is excluded under all of its paths.

// excludeAll takes the access away from what is never accessible, and from the other paths of what
// the rules exclude.
func (p *plan) excludeAll(o *Options) error {
	byRules := p.root.excluded(nil)
	if len(byRules)+len(o.Unreadable)+len(o.Always) == 0 {
		return nil
	}
	mounts, err := procfs.OwnMounts()
	if err != nil {
		return err
	}
	if err := p.excludeOthers(mounts, byRules); err != nil {
		return err
	}
	for _, path := range o.Unreadable {
		if err := p.exclude(mounts, path, list); err != nil {
			return err
		}
	}
	for _, path := range o.Always { // after the others, since an exclusion replaces those below it
		if err := p.exclude(mounts, path, 0); err != nil {
			return err
		}
	}
	return nil
}

// excludeOthers excludes the other paths of what a rule excludes, unless a rule is for one of them.
func (p *plan) excludeOthers(mounts []procfs.Mount, byRules []*place) error {
	for _, n := range byRules {
		paths, err := procfs.OtherPaths(mounts, n.file.path)
		if err != nil {
			return notEnforceable(n.rule, err.Error())
		}
		for _, path := range paths {
			f, err := open(path, openPath)
			if ignoreMissing(path, err) != nil {
				return fmt.Errorf("open another path of what is not accessible: %w", err)
			}
			if err != nil {
				continue
			}
			if at := p.root.find(f.path); at != nil && at.set && at.rule >= 0 {
				_ = unix.Close(f.fd)
				continue
			}
			if err := p.put(f, 0, n.rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// excluded appends the places that a rule excludes.
func (n *place) excluded(places []*place) []*place {
	if n.set && n.rule >= 0 && n.access == 0 {
		places = append(places, n)
	}
	for _, below := range n.below {
		places = below.excluded(places)
	}
	return places
}

// exclude takes the access away from a path, except for some of it. The error does not name the path,
// which the client must not see.
func (p *plan) exclude(mounts []procfs.Mount, path string, except uint64) error {
	f, err := open(path, openPath)
	if ignoreMissing(path, err) != nil {
		return fmt.Errorf("open a path that is never accessible: %w", err)
	}
	if err != nil {
		return nil
	}
	paths, err := procfs.OtherPaths(mounts, f.path)
	if excluded := p.excludeFile(f, except); excluded != nil {
		return excluded
	}
	if err != nil {
		return notEnforceable(-1, err.Error())
	}
	for _, other := range paths {
		f, err := open(other, openPath)
		if ignoreMissing(other, err) != nil {
			return fmt.Errorf("open another path of what is never accessible: %w", err)
		}
		if err != nil {
			continue
		}
		if err := p.excludeFile(f, except); err != nil {
			return err
		}
	}
	return nil
}

// excludeFile closes the file, also after an error.
func (p *plan) excludeFile(f file, except uint64) error {
	without := uint64(0)
	for n := &p.root; n != nil; n = n.next(f.path) {
		if n.set {
			without = n.access
		}
	}
	if n := p.root.find(f.path); n != nil { // a rule for something below does not count either
		for _, below := range n.below {
			below.close()
		}
		n.below = nil
	}
	return p.put(f, except&without, -1)
}
