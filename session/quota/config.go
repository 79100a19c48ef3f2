package quota

import (
	"fmt"
	"maps"
	"slices"
)

// Quotas are bounds of one owner, or of all members of a group together. Nil is not set.
type Quotas struct {
	MaxSessions     *int     // that run
	MinSessions     *int     // that are guaranteed; of no effect for a group
	MaxConnections  *int     // at the same time
	MaxRetained     *int     // ended sessions that are kept
	ReplayBytes     *int64   // of all logs together
	StartsPerSecond *float64 // sessions that begin
}

// Group is a set of owners with bounds of their sum.
type Group struct {
	Members []string
	Quotas  Quotas
}

// Config is what an operator has configured. The zero value guarantees nothing and bounds no owner:
// everything is first come, first served. Otherwise Owners lists all owners that have a guaranteed
// share; others can come nevertheless, and have none.
type Config struct {
	Owners    map[string]Quotas // by name, also those without quotas
	Observers map[string]bool   // of Owners: begin no sessions, so have a share of connections only
	Groups    map[string]Group  // by name; an owner is a member of at most one
}

// starters returns the owners that have a share of everything.
func (c *Config) starters() map[string]Quotas {
	all := maps.Clone(c.Owners)
	maps.DeleteFunc(all, func(name string, _ Quotas) bool { return c.Observers[name] })
	return all
}

// GroupOf returns the group of each member.
func (c *Config) GroupOf() map[string]string {
	of := make(map[string]string)
	for name, g := range c.Groups {
		for _, member := range g.Members {
			of[member] = name
		}
	}
	return of
}

// Check returns an error if the guaranteed sessions of all owners exceed maxSessions.
func (c *Config) Check(maxSessions int) error {
	sum, owners := 0, c.starters()
	for _, name := range slices.Sorted(maps.Keys(owners)) {
		if least := owners[name].MinSessions; least != nil {
			sum += max(*least, 0)
		}
		if sum > maxSessions {
			return fmt.Errorf("min_sessions of all principals up to %q together exceed %d sessions of the server", name, maxSessions)
		}
	}
	return nil
}

// Sessions returns how the slots of sessions are divided.
func (c *Config) Sessions() Shares {
	return c.shares(c.starters(), func(q Quotas) Share { return Share{Min: q.MinSessions, Max: q.MaxSessions} })
}

// Queue returns how the places in the queue for slots are divided.
func (c *Config) Queue() Shares {
	return c.shares(c.starters(), func(Quotas) Share { return Share{} })
}

// Proxied returns how the connections of commands to their proxies are divided.
func (c *Config) Proxied() Shares { return c.Queue() }

// Connections returns how the slots of connections are divided.
func (c *Config) Connections() Shares {
	return c.shares(c.Owners, func(q Quotas) Share { return Share{Max: q.MaxConnections} })
}

// Replay returns how the bytes of all logs are divided.
func (c *Config) Replay() Shares {
	return c.shares(c.starters(), func(q Quotas) Share {
		if q.ReplayBytes == nil {
			return Share{}
		}
		most := int(*q.ReplayBytes)
		return Share{Max: &most}
	})
}

func (c *Config) shares(owners map[string]Quotas, of func(Quotas) Share) Shares {
	s := Shares{Owners: make(map[string]Share, len(owners)), Groups: make(map[string]int)}
	for name, q := range owners {
		s.Owners[name] = of(q)
	}
	for name, g := range c.Groups {
		if most := of(g.Quotas).Max; most != nil {
			s.Groups[name] = *most
		}
	}
	s.GroupOf = c.GroupOf()
	return s
}
