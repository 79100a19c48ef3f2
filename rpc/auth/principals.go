package auth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

// The bounds of a principals file.
const (
	MaxPrincipalsFileBytes = 1 << 20
	// MaxMappings bounds the mappings of each kind: the names of a certificate are compared with all
	// of them.
	MaxMappings = 1024
	// MaxPatternBytes is the longest pattern, and the longest name that is compared with one.
	MaxPatternBytes = 512
)

// Principals is the content of a principals file: which names of certificates and JWTs are which
// principals, the groups of principals, and their quotas. It does not change. The methods of a nil
// *Principals find nothing.
type Principals struct {
	certificates, jwts []mapping
	groupOf            map[string]string // of a member
	groups, principals map[string]Quotas
}

// mapping gives the names that match a pattern a principal.
type mapping struct {
	pattern, principal string
	role               access.Role
}

// Quotas are bounds of one principal, or of all members of a group together. Nil is not set.
type Quotas struct {
	MaxSessions     *int     `toml:"max_sessions"` // that run
	MinSessions     *int     `toml:"min_sessions"` // that are guaranteed
	MaxConnections  *int     `toml:"max_connections"`
	MaxRetained     *int     `toml:"max_retained"`
	ReplayBytes     *int64   `toml:"replay_bytes"` // of all logs together
	StartsPerSecond *float64 `toml:"starts_per_second"`
}

// Certificate returns the principal of a certificate with these names. The first mapping that any
// of the names matches counts. Names of more than MaxPatternBytes match nothing.
func (p *Principals) Certificate(names ...string) (principal string, role access.Role, ok bool) {
	if p == nil {
		return "", access.Run, false
	}
	return find(p.certificates, names)
}

// JWT returns the principal of a JWT with this subject, like Certificate.
func (p *Principals) JWT(subject string) (principal string, role access.Role, ok bool) {
	if p == nil {
		return "", access.Run, false
	}
	return find(p.jwts, []string{subject})
}

func find(all []mapping, names []string) (string, access.Role, bool) {
	for _, m := range all {
		for _, name := range names {
			if name != "" && len(name) <= MaxPatternBytes && matches(m.pattern, name) {
				return m.principal, m.role, true
			}
		}
	}
	return "", access.Run, false
}

// Group returns the group of a principal, of which it has at most one.
func (p *Principals) Group(principal string) (name string, ok bool) {
	if p == nil {
		return "", false
	}
	name, ok = p.groupOf[principal]
	return name, ok
}

// SameGroup reports whether two principals are members of one group.
func (p *Principals) SameGroup(a, b string) bool {
	x, ok := p.Group(a)
	y, also := p.Group(b)
	return ok && also && x == y
}

// GroupQuotas and PrincipalQuotas return the quotas of all groups and principals that are named, by
// their names.
func (p *Principals) GroupQuotas() map[string]Quotas {
	if p == nil {
		return nil
	}
	return maps.Clone(p.groups)
}

// PrincipalQuotas returns the quotas of all principals that the file lists, by their names.
func (p *Principals) PrincipalQuotas() map[string]Quotas {
	if p == nil {
		return nil
	}
	return maps.Clone(p.principals)
}

// Known returns the principals that the file names, in the order of their names.
func (p *Principals) Known() []string {
	if p == nil {
		return nil
	}
	all := slices.Concat(slices.Collect(maps.Keys(p.principals)), slices.Collect(maps.Keys(p.groupOf)))
	for _, m := range slices.Concat(p.certificates, p.jwts) {
		all = append(all, m.principal)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Starters returns the principals of certificates and JWTs that may start sessions.
func (p *Principals) Starters() []string {
	return p.mapped(access.Role.MayStart)
}

// Observers returns the principals of certificates and JWTs that may not start sessions, also those
// that may with another certificate or JWT.
func (p *Principals) Observers() []string {
	return p.mapped(func(r access.Role) bool { return !r.MayStart() })
}

// mapped returns the principals of certificates and JWTs with some roles.
func (p *Principals) mapped(has func(access.Role) bool) (all []string) {
	if p == nil {
		return nil
	}
	for _, m := range slices.Concat(p.certificates, p.jwts) {
		if has(m.role) {
			all = append(all, m.principal)
		}
	}
	return all
}

// principalsFile is the text of a principals file.
type principalsFile struct {
	Certificate []struct {
		Name      string      `toml:"name"`
		Principal string      `toml:"principal"`
		Role      access.Role `toml:"role"`
	} `toml:"certificate"`
	JWT []struct {
		Subject   string      `toml:"subject"`
		Principal string      `toml:"principal"`
		Role      access.Role `toml:"role"`
	} `toml:"jwt"`
	Group []struct {
		Name    string   `toml:"name"`
		Members []string `toml:"members"`
		Quotas  Quotas   `toml:"quotas"`
	} `toml:"group"`
	Principal []struct {
		Name   string `toml:"name"`
		Quotas Quotas `toml:"quotas"`
	} `toml:"principal"`
}

// ParsePrincipals returns the content of a principals file; file is its name in errors, which are
// *tomlfile.Error.
func ParsePrincipals(file string, text []byte) (*Principals, error) {
	if len(text) > MaxPrincipalsFileBytes {
		return nil, &tomlfile.Error{File: file, Err: fmt.Errorf("is larger than %d bytes", MaxPrincipalsFileBytes)}
	}
	var f principalsFile
	if _, err := tomlfile.Decode(file, text, &f, nil); err != nil {
		return nil, err
	}
	p := &Principals{groupOf: map[string]string{}, groups: map[string]Quotas{}, principals: map[string]Quotas{}}
	if err := cmp.Or(p.addMappings(file, text, &f), p.addGroups(file, text, &f), p.addPrincipals(file, text, &f)); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Principals) addMappings(file string, text []byte, f *principalsFile) error {
	for i, m := range f.Certificate {
		if err := addMapping(&p.certificates, mapping{m.Name, m.Principal, m.Role}); err != nil {
			return err.in(file, text, "certificate", i, "name")
		}
	}
	for i, m := range f.JWT {
		if err := addMapping(&p.jwts, mapping{m.Subject, m.Principal, m.Role}); err != nil {
			return err.in(file, text, "jwt", i, "subject")
		}
	}
	return nil
}

// fieldError is an error of one field of a table; "" is the first one of its table.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) in(file string, text []byte, table string, i int, first string) error {
	return &tomlfile.Error{
		File: file, Line: lineOf(text, table, i), Key: table + "." + cmp.Or(e.field, first), Err: e.err,
	}
}

func addMapping(all *[]mapping, m mapping) *fieldError {
	switch {
	case m.pattern == "" || len(m.pattern) > MaxPatternBytes:
		return &fieldError{"", fmt.Errorf("must have 1 to %d bytes", MaxPatternBytes)}
	case slices.ContainsFunc(*all, func(other mapping) bool { return other.pattern == m.pattern }):
		return &fieldError{"", fmt.Errorf("%q occurs twice", m.pattern)}
	case len(*all) == MaxMappings:
		return &fieldError{"", fmt.Errorf("more than %d mappings", MaxMappings)}
	}
	if err := access.ValidPrincipal(m.principal); err != nil {
		return &fieldError{"principal", err}
	}
	*all = append(*all, m)
	return nil
}

func (p *Principals) addGroups(file string, text []byte, f *principalsFile) error {
	for i, g := range f.Group {
		if err := addQuotas(p.groups, g.Name, g.Quotas); err != nil {
			return err.in(file, text, "group", i, "name")
		}
		for _, member := range g.Members {
			err := access.ValidPrincipal(member)
			if other, ok := p.groupOf[member]; err == nil && ok {
				err = fmt.Errorf("%q is a member of %q already: a principal has at most one group", member, other)
			}
			if err != nil {
				return (&fieldError{"members", err}).in(file, text, "group", i, "")
			}
			p.groupOf[member] = g.Name
		}
	}
	return nil
}

func (p *Principals) addPrincipals(file string, text []byte, f *principalsFile) error {
	for i, x := range f.Principal {
		if err := addQuotas(p.principals, x.Name, x.Quotas); err != nil {
			return err.in(file, text, "principal", i, "name")
		}
	}
	return nil
}

func addQuotas(all map[string]Quotas, name string, q Quotas) *fieldError {
	if err := access.ValidPrincipal(name); err != nil {
		return &fieldError{"", err}
	}
	if _, ok := all[name]; ok {
		return &fieldError{"", fmt.Errorf("%q occurs twice", name)}
	}
	all[name] = q
	return q.check()
}

func (q *Quotas) check() *fieldError {
	negative := func(field string, bad bool) *fieldError {
		if bad {
			return &fieldError{"quotas." + field, errors.New("must not be negative")}
		}
		return nil
	}
	err := cmp.Or(
		negative("max_sessions", value(q.MaxSessions) < 0),
		negative("min_sessions", value(q.MinSessions) < 0),
		negative("max_connections", value(q.MaxConnections) < 0),
		negative("max_retained", value(q.MaxRetained) < 0),
		negative("replay_bytes", value(q.ReplayBytes) < 0),
		negative("starts_per_second", !(value(q.StartsPerSecond) >= 0)), // NaN too
	)
	if err == nil && q.MaxSessions != nil && value(q.MinSessions) > *q.MaxSessions {
		err = &fieldError{"quotas.min_sessions", errors.New("exceeds max_sessions")}
	}
	return err
}

// value returns what a quota is, 0 if it is not set.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
