package main

import (
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/session/quota"
)

// quotas returns how the server is divided among principals: each one that may start sessions or
// that the principals file lists has a share.
func (c *serveCmd) quotas(tokens []auth.Token, p *auth.Principals) quota.Config {
	config := quota.Config{Owners: map[string]quota.Quotas{}, Groups: map[string]quota.Group{}}
	for _, name := range c.starters(tokens, p) {
		if access.ValidPrincipal(name) == nil { // else it stands for the members of a group of users
			config.Owners[name] = quota.Quotas{}
		}
	}
	for name, q := range p.PrincipalQuotas() {
		config.Owners[name] = quota.Quotas(q)
	}
	members := map[string][]string{}
	for _, name := range p.Known() {
		if group, ok := p.Group(name); ok {
			members[group] = append(members[group], name)
		}
	}
	for name, q := range p.GroupQuotas() {
		config.Groups[name] = quota.Group{Members: members[name], Quotas: quota.Quotas(q)}
	}
	return config
}

// checkQuotas returns an error if more sessions are guaranteed than may run.
func (c *serveCmd) checkQuotas(tokens []auth.Token, p *auth.Principals) error {
	config := c.quotas(tokens, p)
	return config.Check(c.MaxSessions)
}
