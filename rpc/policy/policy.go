package policy

import (
	"fmt"
	"os"
	"slices"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
)

// Options are what a policy needs to know of its server.
type Options struct {
	// Account returns a user of the machine; nil is [process.LookupAccount].
	Account func(name string) (process.Account, error)
	// HasProfile reports whether the server has a profile of sandboxes; nil is that it has the built-in
	// ones.
	HasProfile func(name string) bool
	// Server is the effective user id of the server; the zero Options have that of this process.
	Server *int
	// Directory is the working directory of the server; "" is that of this process.
	Directory string
}

func (o Options) withDefaults() Options {
	if o.Account == nil {
		o.Account = process.LookupAccount
	}
	if o.HasProfile == nil {
		o.HasProfile = func(name string) bool { return slices.Contains(sandbox.BuiltIn, name) }
	}
	if o.Server == nil {
		uid := os.Geteuid()
		o.Server = &uid
	}
	if o.Directory == "" {
		o.Directory, _ = os.Getwd() // "" if it was removed; then a relative cwd is below the root
	}
	return o
}

// maxGroupName is the longest name of a group of principals in bytes.
const maxGroupName = 128

// validName returns an error unless name can be that of a principal or of a group of principals.
func (o Options) validName(kind, name string) error {
	if kind == "principal" {
		return access.ValidPrincipal(name)
	}
	if name == "" || len(name) > maxGroupName {
		return fmt.Errorf("the name of a group must have 1 to %d bytes, not %d", maxGroupName, len(name))
	}
	return nil
}

// Policy is a policy file. It does not change, and may be used concurrently.
type Policy struct {
	principals map[string]*section
	groups     map[string]*section
	byDefault  *section // nil if the file has none
	options    Options
	trust      trust
}

// section returns what applies to a principal: the section with its name, else that of the first of
// its groups that has one, else the default, else nil.
func (p *Policy) section(principal string, groups []string) *section {
	if s := p.principals[principal]; s != nil {
		return s
	}
	for _, g := range groups {
		if s := p.groups[g]; s != nil {
			return s
		}
	}
	return p.byDefault
}

// all returns all sections, in a fixed order.
func (p *Policy) all() []*section {
	var all []*section
	if p.byDefault != nil {
		all = append(all, p.byDefault)
	}
	for _, m := range []map[string]*section{p.groups, p.principals} {
		for _, name := range sortedKeys(m) {
			all = append(all, m[name])
		}
	}
	return all
}

// UIDs returns the users as which commands of a principal may run, and whether it may start any
// sessions. -1 stands for the server's own user.
func (p *Policy) UIDs(principal string, groups []string) (uids []int, ok bool) {
	s := p.section(principal, groups)
	if s == nil || !s.mayCall(rpc.MethodExecute) || !s.shell && len(s.programs) == 0 {
		return nil, false
	}
	if len(s.users) == 0 {
		return []int{-1}, true
	}
	for _, u := range s.users {
		uids = append(uids, int(u.UID))
	}
	slices.Sort(uids)
	return slices.Compact(uids), true
}
