package sandbox

import "slices"

// Tighten returns what both c and o permit: at every path the lesser access, the destinations that
// both permit, and so on. It is within both. Its rules and destinations are sorted; those without an
// effect are left out. There may be more of them than [Config.Check] permits. It has no Floor.
func (c *Config) Tighten(o *Config) *Config {
	hidden := slices.Concat(c.Hidden, o.Hidden)
	slices.Sort(hidden)
	return &Config{
		Files:        meetRules(c, o),
		FilesDefault: least(accesses, c.FilesDefault, o.FilesDefault),
		Network:      meetNetworks(&c.Network, &o.Network),
		Processes:    least(processScope, c.Processes, o.Processes),
		Tmp:          least(tmpScope, c.Tmp, o.Tmp),
		Devices:      MinimalDevices,
		UnixSockets:  least(unixSockets, c.UnixSockets, o.UnixSockets),
		Metadata:     least(metadata, c.Metadata, o.Metadata),
		Hidden:       slices.Compact(hidden),
	}
}

// meetRules returns a rule for each path at which the access of c or o changes.
func meetRules(c, o *Config) []Rule {
	all := slices.Concat(paths(c.Files), paths(o.Files))
	slices.Sort(all) // a directory comes before what is in it
	all = slices.Compact(all)
	met := &Config{FilesDefault: least(accesses, c.FilesDefault, o.FilesDefault)}
	for _, file := range all {
		r := Rule{file, least(accesses, c.unhidden(file), o.unhidden(file)), meetMissing(c, o, file)}
		if r.Missing != Skip || r.Access != met.unhidden(file) {
			met.Files = append(met.Files, r)
		}
	}
	return met.Files
}

// unhidden is At without Hidden.
func (c *Config) unhidden(file string) Access {
	if i := c.ruleOf(file); i >= 0 {
		return c.Files[i].Access
	}
	return c.FilesDefault
}

// meetMissing returns what is done if the path of a rule of c or o does not exist.
func meetMissing(c, o *Config, file string) Missing {
	create := false
	for _, r := range slices.Concat(c.Files, o.Files) {
		switch {
		case r.Path != file:
		case r.Missing == Refuse:
			return Refuse
		case r.Missing == Create:
			create = true
		}
	}
	if create && c.mayCreate(file) && o.mayCreate(file) {
		return Create
	}
	return Skip
}

func meetNetworks(a, b *Network) Network {
	n := Network{Mode: least(modes, a.Mode, b.Mode)}
	if n.Mode != AllowList {
		return n
	}
	met := map[Destination]bool{}
	switch {
	case a.Mode != AllowList:
		addAll(met, b.Allow)
	case b.Mode != AllowList:
		addAll(met, a.Allow)
	default:
		for _, d := range a.Allow {
			for _, e := range b.Allow {
				if both, ok := d.meet(e); ok {
					met[both] = true
				}
			}
		}
	}
	n.Allow = needed(met)
	return n
}

func addAll(set map[Destination]bool, list []Destination) {
	for _, d := range list {
		set[d] = true
	}
}

// needed returns the destinations that no other one covers, sorted. There may be 65536, so those that
// could cover one are looked up by their names.
func needed(set map[Destination]bool) (list []Destination) {
	for d := range set {
		if !slices.ContainsFunc(d.wider(), func(o Destination) bool { return set[o] }) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, Destination.compare)
	return list
}

// wider returns the destinations that cover d, without d.
func (d Destination) wider() (all []Destination) {
	hosts := []string{d.Host}
	for i, c := range []byte(d.Host) {
		if c == '.' {
			hosts = append(hosts, "*"+d.Host[i:])
		}
	}
	for _, host := range hosts {
		for _, port := range []uint16{0, d.Port} {
			if o := (Destination{host, port}); o != d {
				all = append(all, o)
			}
		}
	}
	return all
}
