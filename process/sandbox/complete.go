package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Complete returns what a request asks for. What it leaves out is as in its profile, and in the floor
// if it names none; without a floor, which is nil then, as in the profile read-only. Rules of the
// request are added to those of the profile or the floor, and replace those with the same path.
//
// The result is nil if there is no sandbox. An error is a *FieldError, or an *ExceedsError if the
// request asks for more than floor permits.
func (p *Profiles) Complete(r *Request, floor *Config, at Place) (*Config, error) {
	if r.Profile == Off && r.empty() {
		if floor != nil {
			return nil, &ExceedsError{"profile"}
		}
		return nil, nil
	}
	c, err := p.base(r.Profile, floor, &at)
	if err != nil {
		return nil, err
	}
	if r.Profile == Off && r.FilesDefault != "" {
		c.Files = nil // the rule for /, with which there would be nothing else
	}
	if err := c.overlay(&r.Partial, Refuse, &at); err != nil {
		return nil, err
	}
	c.Hidden, c.Floor, c.request, c.home = p.hidden(&at), floor, r, at.Home
	if c.Profile = r.Profile; c.Profile == "" && floor == nil {
		c.Profile = ReadOnly
	}
	c.showDir(at.Dir)
	if err := c.Check(); err != nil {
		return nil, r.ofRequest(err)
	}
	if err := c.checkOwn(len(r.Files)); err != nil {
		return nil, err
	}
	if err := c.checkDir(at.Dir); err != nil {
		return nil, err
	}
	if floor != nil {
		if err := c.Within(floor); err != nil {
			return nil, r.ofRequest(err)
		}
	}
	return c, nil
}

// showDir adds a rule for the working directory if it would be covered by a private /tmp. No access
// changes by that.
func (c *Config) showDir(dir string) {
	covered := dir != "/tmp" && Below(dir, "/tmp") || dir != "/var/tmp" && Below(dir, "/var/tmp")
	if !covered || c.Tmp != Private || len(c.Files) >= MaxRules || c.At(dir) == None || slices.Contains(paths(c.Files), dir) {
		return
	}
	c.Files = append(c.Files, Rule{dir, c.At(dir), Skip})
}

// checkOwn checks the first n rules, which are those of the request: none may be without effect.
func (c *Config) checkOwn(n int) error {
	for i, r := range c.Files[:n] {
		field := fmt.Sprintf("files[%d]", i)
		if c.hides(r.Path) && (r.Access != None || r.Missing == Create) {
			return &ExceedsError{field}
		}
		if c.Tmp == Private && (r.Path == "/tmp" || r.Path == "/var/tmp") {
			return invalid(field+".path", `must not be %s, unless tmp is "shared"`, r.Path)
		}
	}
	return nil
}

// checkDir refuses a private /tmp if it is the working directory and has to be writable: what the
// command makes there would be lost.
func (c *Config) checkDir(dir string) error {
	if c.Tmp != Private || dir != "/tmp" && dir != "/var/tmp" {
		return nil
	}
	for _, r := range c.Files {
		if r.Path == dir && r.Access == Write {
			return invalid("profile", `makes the working directory writable, and %s is private: what the command makes there is removed with the session; set tmp to "shared", or start it elsewhere`, dir)
		}
	}
	return nil
}

// Floor returns the Config of a profile; nil is that of Off.
func (p *Profiles) Floor(name string, at Place) (*Config, error) {
	return p.Complete(&Request{Profile: name}, nil, at)
}

// base returns what a request gets for what it leaves out.
func (p *Profiles) base(name string, floor *Config, at *Place) (*Config, error) {
	c := readOnly
	if name == "" {
		if floor != nil {
			c = *floor
		}
		return &c, nil
	}
	profile, ok := p.find(name)
	if !ok {
		return nil, &FieldError{"profile", "is not the name of a profile of this server", p.Names()}
	}
	if err := c.overlay(&profile, Skip, at); err != nil {
		return nil, invalid("profile", "cannot be used here: its %v", err)
	}
	return &c, nil
}

// overlay puts a Partial over c. Its rules come first, in their order. If several rules of a profile
// have the same path here, the least access applies. The error is a *FieldError.
func (c *Config) overlay(p *Partial, missing Missing, at *Place) error {
	if err := checkCount(len(p.Files)); err != nil {
		return err
	}
	rules := make([]Rule, 0, len(p.Files)+len(c.Files))
	for i := range p.Files {
		r, err := at.rule(p.Files[i], missing)
		if err != nil {
			return invalid(fmt.Sprintf("files[%d].path", i), "%v", err)
		}
		if missing == Refuse || !merge(rules, r) {
			rules = append(rules, r)
		}
	}
	own := paths(rules)
	for _, r := range c.Files {
		if !slices.Contains(own, r.Path) {
			rules = append(rules, r)
		}
	}
	c.Files = rules
	set(&c.FilesDefault, p.FilesDefault)
	if p.Network.Mode != "" {
		c.Network = p.Network
	}
	set(&c.Processes, p.Processes)
	set(&c.Tmp, p.Tmp)
	set(&c.Devices, p.Devices)
	set(&c.UnixSockets, p.UnixSockets)
	set(&c.Metadata, p.Metadata)
	return nil
}

// merge makes the access of a rule the lesser one if rules has its path already.
func merge(rules []Rule, r Rule) bool {
	i := slices.IndexFunc(rules, func(o Rule) bool { return o.Path == r.Path })
	if i < 0 {
		return false
	}
	rules[i].Access = least(accesses, rules[i].Access, r.Access)
	return true
}

func set[T ~string](field *T, v T) {
	if v != "" {
		*field = v
	}
}

// ofRequest returns an error about a Config as one about the request that it was made of.
func (r *Request) ofRequest(err error) error {
	if e, ok := errors.AsType[*ExceedsError](err); ok {
		return &ExceedsError{r.fieldOf(e.Field)}
	}
	if e, ok := errors.AsType[*FieldError](err); ok {
		return &FieldError{r.fieldOf(e.Field), e.Text, e.Known}
	}
	return err
}

// Locate returns an error about c, of this package, as one about the request that c was made of: its
// Field is one of the request, or one that the request can set so that it can be enforced. Other errors
// are returned as they are.
func (c *Config) Locate(err error) error {
	if c.request == nil {
		return err
	}
	if e, ok := errors.AsType[*NotEnforceableError](err); ok {
		field := e.Field
		if strings.HasPrefix(field, string(FilesPart)) { // the others have one value, which the request can replace
			field = c.request.fieldOf(field)
		}
		return &NotEnforceableError{field, e.Why}
	}
	if e, ok := errors.AsType[*PathError](err); ok {
		located := *e
		for i := range c.Files {
			if c.Files[i].Path == e.Path {
				located.Field = c.request.fieldOf(fmt.Sprintf("files[%d].path", i))
			}
		}
		return &located
	}
	return c.request.ofRequest(err)
}

// fieldOf returns the field of a request from which a field of its Config comes: the same one if the
// request has it, else "profile", or "" if it names no profile, and what it left out is that of the
// floor.
func (r *Request) fieldOf(field string) string {
	own := true
	name, _, _ := strings.Cut(field, ".")
	name, index, _ := strings.Cut(strings.TrimSuffix(name, "]"), "[")
	switch name {
	case "files":
		i, err := strconv.Atoi(index)
		own = err != nil && len(r.Files) > 0 || err == nil && i < len(r.Files)
	case "files_default":
		own = r.FilesDefault != ""
	case "network":
		own = r.Network.Mode != ""
	case "processes":
		own = r.Processes != ""
	case "tmp":
		own = r.Tmp != ""
	case "devices":
		own = r.Devices != ""
	case "unix_sockets":
		own = r.UnixSockets != ""
	case "metadata":
		own = r.Metadata != ""
	}
	switch {
	case own:
		return field
	case r.Profile != "":
		return "profile"
	}
	return ""
}
