package main

import (
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
	"github.com/runnel-rpc/runnel/session/quota"
)

// quotas returns how the server is divided among principals: each one that has a credential or that
// the principals file lists has a share.
func (c *serveCmd) quotas(tokens []auth.Token, p *auth.Principals) quota.Config {
	config := quota.Config{Owners: map[string]quota.Quotas{}, Groups: map[string]quota.Group{}}
	for _, name := range c.starters(tokens, p) {
		if access.ValidPrincipal(name) == nil { // else it stands for the members of a group of users
			config.Owners[name] = quota.Quotas{}
		}
	}
	for _, name := range c.observers(tokens, p) {
		if config.Observers == nil {
			config.Observers = map[string]bool{}
		}
		config.Owners[name], config.Observers[name] = quota.Quotas{}, true
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

// observers returns the principals that cannot start sessions. A user whom --allow-gid may admit
// is none of them.
func (c *serveCmd) observers(tokens []auth.Token, p *auth.Principals) []string {
	all := p.Observers()
	for _, t := range tokens {
		if !t.Role.MayStart() {
			all = append(all, t.Name)
		}
	}
	starters := c.starters(tokens, p)
	return slices.DeleteFunc(all, func(name string) bool {
		return slices.Contains(starters, name) || len(c.AllowGID) > 0 && strings.HasPrefix(name, auth.UIDPrefix)
	})
}

// warnOfShares logs which limits are too small for a guaranteed share of each principal.
func (c *serveCmd) warnOfShares(config *quota.Config, log zerolog.Logger) {
	warn := func(flag string, limit int, s quota.Shares) {
		if n := s.Unshared(limit); n > 0 {
			log.Warn().Str("flag", flag).Int("limit", limit).Int("principals", n).Msg("principals have no guaranteed share: the limit is too small for one each")
		}
	}
	warn("--max-sessions", c.MaxSessions, config.Sessions())
	warn("--max-connections", c.MaxConnections, config.Connections())
	warn("--max-proxy-connections", proxiedLimit(c.MaxProxied), config.Proxied())
	if c.MaxQueued > 0 { // else nobody waits
		warn("--max-queued", c.MaxQueued, config.Queue())
	}
}
