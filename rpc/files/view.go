package files

import (
	"errors"
	"slices"
	"strings"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// view is an Access while one operation runs: all paths in it are without symbolic links.
type view struct {
	sets []ruleSet // the least access of all applies
	// readOnly are the files of Access.ReadOnly, which may have other paths by hard links and mounts.
	readOnly map[fileID]bool
	hidden   hiddenFiles
}

// hiddenFiles are the files of Access.Hidden by their identity: hard links have other paths.
type hiddenFiles struct {
	ids         map[fileID]bool
	directories []string // without symbolic links; the files in them are not in ids until they were read
}

// fileID identifies a file.
type fileID struct{ dev, ino uint64 }

// ruleSet is one restriction.
type ruleSet struct {
	rule   string // for errors
	config *sandbox.Config
	// leads are the paths of the rules that permit something, as they were written and as they are
	// without symbolic links. The directories above them are visible.
	leads   []string
	sandbox bool
	hint    string // for errors, "" for none
}

// newView resolves the roots and the sandbox of an Access by find. The error is one of sandbox.Config.Resolved.
func newView(a *Access, find func(path string) sandbox.Found) (*view, error) {
	v := &view{}
	if a.Restricted {
		v.sets = append(v.sets, rootSet(a, find))
	}
	if a.Sandbox == nil {
		return v, nil
	}
	resolution, err := a.Sandbox.Resolved(func(r *sandbox.Rule, _ bool) sandbox.Found { return find(r.Path) })
	if err != nil {
		return nil, err
	}
	set := ruleSet{rule: SandboxRule, config: &resolution.Config, sandbox: true, hint: a.SandboxHint}
	for i, r := range resolution.Files {
		if r.Access != sandbox.None {
			set.leads = append(set.leads, r.Path, resolution.Names[i])
		}
	}
	v.sets = append(v.sets, set)
	return v, nil
}

// rootSet permits the roots. One that cannot be resolved permits nothing.
func rootSet(a *Access, find func(path string) sandbox.Found) ruleSet {
	set := ruleSet{rule: a.Rule, config: &sandbox.Config{FilesDefault: sandbox.None}}
	for _, root := range a.Roots {
		real := find(root.Path).Path
		if real == "" {
			continue
		}
		set.config.Files = append(set.config.Files, sandbox.Rule{Path: real, Access: root.Access})
		set.leads = append(set.leads, real, root.Path)
	}
	return set
}

// at returns the access to a path.
func (s *ruleSet) at(path string) sandbox.Access {
	if s.sandbox {
		for _, dir := range []string{"/proc", "/dev", "/sys"} { // a sandbox has its own
			if sandbox.Below(path, dir) {
				return sandbox.None
			}
		}
		if s.config.Tmp == sandbox.Private && s.inPrivateTmp(path) {
			return sandbox.None
		}
	}
	return s.config.At(path)
}

// inPrivateTmp reports whether a command in the sandbox has another file at a path: it is in /tmp or
// /var/tmp, and no rule is for a path below these that has it.
func (s *ruleSet) inPrivateTmp(path string) bool {
	for _, tmp := range []string{"/tmp", "/var/tmp"} {
		if sandbox.Below(path, tmp) {
			return !slices.ContainsFunc(s.config.Files, func(r sandbox.Rule) bool {
				return r.Path != tmp && sandbox.Below(r.Path, tmp) && sandbox.Below(path, r.Path)
			})
		}
	}
	return false
}

// visible reports whether a path is permitted, or leads to one that is.
func (s *ruleSet) visible(path string) bool {
	return s.at(path) != sandbox.None || !s.hidden(path) && slices.ContainsFunc(s.leads, func(lead string) bool { return sandbox.Below(lead, path) })
}

func (s *ruleSet) hidden(path string) bool {
	return slices.ContainsFunc(s.config.Hidden, func(dir string) bool { return sandbox.Below(path, dir) })
}

// look returns an *Error with Invisible if nothing may be known about a path. A nil view permits all.
func (v *view) look(path string) error {
	if v == nil {
		return nil
	}
	for i := range v.sets {
		if s := &v.sets[i]; !s.visible(path) {
			return &Error{Kind: ErrForbidden, Rule: s.rule, Invisible: true, Detail: s.hint}
		}
	}
	return nil
}

// need returns an *Error unless a path has an access.
func (v *view) need(path string, access sandbox.Access) error {
	for i := range v.sets {
		s := &v.sets[i]
		switch at := s.at(path); {
		case at == sandbox.Write || at == access:
		case at == sandbox.None && !s.visible(path):
			return &Error{Kind: ErrForbidden, Rule: s.rule, Invisible: true, Detail: s.hint}
		default:
			return &Error{Kind: ErrForbidden, Rule: s.rule, Detail: s.hint}
		}
	}
	return nil
}

// needEntry returns an *Error unless an entry may be made in a directory or removed from it.
func (v *view) needEntry(dir, path string) error {
	if err := v.need(path, sandbox.Write); err != nil {
		return err
	}
	return v.need(dir, sandbox.Write)
}

// needTree returns an *Error unless all below a path may be changed: a rule below it is like a mount,
// which keeps the directories above it.
func (v *view) needTree(path string) error {
	for i := range v.sets {
		s := &v.sets[i]
		protects := func(other string) bool { return other != path && sandbox.Below(other, path) }
		if slices.ContainsFunc(s.config.Hidden, protects) || slices.ContainsFunc(s.config.Files, func(r sandbox.Rule) bool {
			return r.Access != sandbox.Write && protects(r.Path)
		}) {
			return &Error{Kind: ErrForbidden, Rule: s.rule, Detail: "a rule of " + s.rule + " protects something below it"}
		}
	}
	return nil
}

// of returns an error about a path, which has none yet, as one about the path of the request.
func of(path string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Path == "" {
		located := *e
		located.Path = path
		return &located
	}
	return err
}

// parent returns the directory of an absolute and clean path.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
