package sandbox

import (
	"slices"
	"syscall"
)

// Found is what a path leads to.
type Found struct {
	// Path is absolute and has no symbolic links. If its last component does not exist, it is in Path
	// as it is. Path is "" if the path cannot be resolved: then it is taken as it is.
	Path string
	// Above is the last directory on the way that can be reached, if the path cannot be resolved for
	// another reason than that something does not exist: usually it may not be searched. It is also set
	// if the path is too long to be mounted.
	Above string
	// Links are the directories, by their paths without symbolic links, of the links that were
	// followed, also if the path cannot be resolved.
	Links []string
	// Aliases are other paths of these directories, by mounts.
	Aliases []string
}

// Resolution is a Config with the paths that its names lead to.
type Resolution struct {
	Config
	// Names has for each of Files the path that the rule had before.
	Names []string
	// Dropped are the paths, as before, of rules and of Hidden that were left out because of a link.
	Dropped []string
}

// ErrLink is why Resolved has left a rule out, or has refused it.
var ErrLink error = &Reason{syscall.ELOOP, "it leads through a symbolic link that a command may have made: name what the link leads to"}

var (
	errIntoReserved error = &Reason{syscall.EACCES, "it leads into /proc, /dev or /sys, which have the same content in every sandbox"}
	errIntoSystem   error = &Reason{syscall.EACCES, "it leads to the root or into a system directory, which only a rule with that path makes writable"}
)

// Named returns how many of Files, which are the first, a request has named. The others are those of a
// profile or floor. All are named if c was not made from a request.
func (c *Config) Named() int {
	if c.request == nil {
		return len(c.Files)
	}
	return len(c.request.Files)
}

// Resolved returns c with the paths that its names lead to. A name that is within the floor may lead
// beyond it: a command that may write to a directory can make a symbolic link there, and the next
// request name the link. So whoever enforces c opens the files first, and then enforces the result.
//
// A link may be made by a command if it is in a directory that the Floor makes writable, or c if it
// has none, under one of its paths, also if a longer rule makes it read-only: that one may have been skipped before. Such a
// link never moves the rules of the Floor, nor those that c has of a profile or of the Floor, to where
// they would permit more: they are left out. The other rules of c, which a request has named, are
// moved by it as far as the Floor permits; without one, the error is a *PathError with ELOOP unless
// the rest of c permits the same there. Commands that ran without this Floor, or in other working
// directories, may have made other links, which are followed.
//
// No link in a directory that is no system directory makes inaccessible what all commands need, since
// one that was started there may have made it: a path of Hidden, or a rule with None that a request has
// not named, has no effect if it leads to the root, to programs and libraries of the system, to /etc, to
// a directory that has /tmp, /var/tmp or the link itself in it, to /proc, /dev or /sys, or, by a link
// that the Floor permits to make, to one with the home directory. Nor has a rule that leads nowhere by
// such a link. What else it leads to is inaccessible.
//
// What cannot be reached now may be reachable for the command: its user may own a directory on the way
// and permit to search it. So a rule that permits nothing, and one of a profile or floor that permits to
// read, makes the last directory that can be reached inaccessible, as a path of Hidden does; one of a
// profile or floor that permits to write has no effect.
//
// find is called with own for the rules that a request has named. Directories are made (Create) only
// after Resolved.
//
// The rules keep their order, and those that a request has named their index. Rules that lead to the
// same file have the least of their accesses, and what leads to a hidden file has None and is not
// made. An error is an *ExceedsError if c permits more than its Floor, and a *PathError with EACCES if
// a rule leads into /proc, /dev or /sys, or makes a system directory writable that it does not name.
func (c *Config) Resolved(find func(r *Rule, own bool) Found) (*Resolution, error) {
	m := c.moved(find, c.Named())
	if c.Floor == nil {
		m.judge(m)
		r, err := m.resolve()
		if err != nil {
			return nil, err
		}
		return r, r.checkSystem()
	}
	floor := c.Floor.moved(find, 0)
	floor.home = m.home
	floor.judge(floor)
	m.bounded = true
	m.judge(floor)
	resolvedFloor, err := floor.resolve()
	if err != nil {
		return nil, err
	}
	r, err := m.resolve()
	if err != nil {
		return nil, err
	}
	r.Floor = &resolvedFloor.Config
	if err := r.Within(r.Floor); err != nil {
		return r, err
	}
	return r, r.checkSystem()
}

// checkSystem returns an error if a rule makes a system directory writable to which a symbolic link
// leads, as the working directory may be one.
func (r *Resolution) checkSystem() error {
	for i := range r.Files {
		if writesToSystem(&r.Files[i], r.Names[i]) {
			return &PathError{Path: r.Names[i], Err: errIntoSystem}
		}
	}
	return nil
}

// writesToSystem reports whether a rule makes a system directory writable that its name does not name.
func writesToSystem(r *Rule, name string) bool {
	return r.Access == Write && inSystem(r.Path) && !inSystem(name)
}

// moved is a Config and where its rules lead.
type moved struct {
	c       *Config
	own     int // the first rules are those that a request has named
	bounded bool
	home    string // the home directory, "" if it is unknown
	covers  []movedRule
	hidden  []string // the paths of covers that have an effect
	rules   []movedRule
}

type movedRule struct {
	Rule  // with the new path
	name  string
	links []string
	alias []string // other paths of links
	lost  bool     // the path cannot be resolved
	shut  bool     // it cannot be reached, and has no effect
	loose bool     // a command may have made one of the links
	made  bool     // also if the rules that are loose have no effect
}

func (c *Config) moved(find func(r *Rule, own bool) Found, own int) *moved {
	m := &moved{c: c, own: own, rules: make([]movedRule, len(c.Files))}
	if c.home != "" {
		m.home = find(&Rule{c.home, Read, Skip}, false).Path
	}
	for _, file := range c.Hidden {
		m.covers = append(m.covers, move(Rule{file, None, Skip}, find, false))
	}
	for i, rule := range c.Files {
		m.rules[i] = move(rule, find, i < own)
	}
	return m
}

func move(r Rule, find func(r *Rule, own bool) Found, own bool) movedRule {
	found := find(&r, own)
	moved := movedRule{Rule: r, name: r.Path, links: found.Links, alias: found.Aliases, lost: found.Path == ""}
	switch {
	case !moved.lost:
		moved.Path = found.Path
	case found.Above == "" || own && r.Access != None:
	case r.Access == Write:
		moved.shut = true
	default:
		moved.Path, moved.Access, moved.lost = found.Above, None, false
	}
	return moved
}

// judge sets what is loose, for commands that may write what by permits. Which of its rules count
// depends on which of them are loose: at first too many are taken for firm, and so too much for
// writable, at the end too few.
func (m *moved) judge(by *moved) {
	writable := by.writable(func(r *movedRule) bool { return len(r.links) == 0 })
	writable = by.writable(func(r *movedRule) bool { return !r.in(writable) })
	for i := range m.rules {
		m.rules[i].loose = m.rules[i].in(writable)
	}
	writable = by.writable(func(r *movedRule) bool { return !r.loose })
	for i := range m.rules {
		m.rules[i].made = m.rules[i].in(writable)
	}
	m.hidden = nil
	for i := range m.covers {
		r := &m.covers[i]
		if r.made = r.in(writable); !m.spares(r) {
			m.hidden = append(m.hidden, r.Path)
		}
	}
	slices.Sort(m.hidden)
	m.hidden = slices.Compact(m.hidden)
}

// spares reports whether a rule has no effect since a command may have made a link to what all need, or
// to nothing.
func (m *moved) spares(r *movedRule) bool {
	has := func(dir string) bool { return Below(dir, r.Path) }
	switch {
	case !slices.ContainsFunc(r.links, func(dir string) bool { return !inSystem(dir) }):
		return false
	case r.lost:
		return r.Missing != Refuse
	case r.Access != None:
		return false
	case reserved(r.Path) || isNeeded(r.Path) || has("/tmp") || has("/var/tmp") || slices.ContainsFunc(r.links, has):
		return true
	}
	return r.made && has(m.home)
}

// spared is spares for a rule that a request may have named.
func (m *moved) spared(i int) bool { return i >= m.own && m.spares(&m.rules[i]) }

// writable returns the paths of the rules for writing for which f is true.
func (m *moved) writable(f func(r *movedRule) bool) (dirs []string) {
	for i := range m.rules {
		if r := &m.rules[i]; r.Access == Write && !r.shut && f(r) {
			dirs = append(dirs, r.Path)
		}
	}
	return dirs
}

// in reports whether a link of the rule is below one of dirs.
func (r *movedRule) in(dirs []string) bool {
	return slices.ContainsFunc(slices.Concat(r.links, r.alias), func(link string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return Below(link, dir) })
	})
}

// resolve returns the result.
func (m *moved) resolve() (*Resolution, error) {
	r := &Resolution{Config: *m.c}
	r.Hidden, r.Files = m.hidden, make([]Rule, 0, len(m.rules))
	for i := range m.covers {
		if m.spares(&m.covers[i]) {
			r.Dropped = append(r.Dropped, m.covers[i].name)
		}
	}
	firm := m.firm()
	access := make(map[string]Access, len(m.rules))
	for i := range m.rules {
		rule := m.rules[i].Rule
		if r.hides(rule.Path) {
			rule.Access, rule.Missing = None, Skip // nobody learns what is there
		}
		switch name := m.rules[i].name; {
		case m.rules[i].shut || m.spared(i):
			r.Dropped = append(r.Dropped, name)
			continue
		case m.rules[i].loose && i >= m.own && (reserved(rule.Path) || !exceeds(accesses, firm.At(rule.Path), rule.Access)):
			r.Dropped = append(r.Dropped, name)
			continue
		case m.rules[i].loose && i >= m.own && writesToSystem(&rule, name):
			r.Dropped = append(r.Dropped, name)
			continue
		case reserved(rule.Path):
			return nil, &PathError{Path: name, Err: errIntoReserved}
		case m.rules[i].loose && i < m.own && !m.bounded && exceeds(accesses, rule.Access, firm.At(rule.Path)):
			return nil, &PathError{Path: name, Err: ErrLink}
		}
		if other, ok := access[rule.Path]; ok {
			rule.Access = least(accesses, rule.Access, other)
		}
		access[rule.Path] = rule.Access
		r.Files, r.Names = append(r.Files, rule), append(r.Names, m.rules[i].name)
	}
	for i := range r.Files {
		r.Files[i].Access = access[r.Files[i].Path]
	}
	return r, nil
}

// firm returns the Config of the rules that have an effect and that no command may have moved.
func (m *moved) firm() *Config {
	f := &Config{FilesDefault: m.c.FilesDefault, Hidden: m.hidden}
	for i := range m.rules {
		if !m.rules[i].loose && !m.rules[i].shut && !m.spared(i) {
			f.Files = append(f.Files, m.rules[i].Rule)
		}
	}
	return f
}
