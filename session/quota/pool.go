package quota

import (
	"maps"
	"slices"
)

// Share is what one owner has of a pool. Nil is not set.
type Share struct {
	Min *int // is guaranteed; if it is not set, an even part of half the pool, at least one
	Max *int // it never has more
}

// Shares says how a pool is divided.
type Shares struct {
	Owners  map[string]Share  // the known owners
	Groups  map[string]int    // what the members of a group have together at most; by name
	GroupOf map[string]string // the group of an owner
}

// Pool divides a number of slots among owners. A part is guaranteed to each known owner
// ([Shares.Parts]): what one does not use of it is kept for it. The rest is first come, first served,
// except that an owner who is not known leaves as many slots free as it has itself, so that there
// are some for the next. The zero Shares divide nothing.
//
// A pool keeps accounts of the known owners and of those that have a slot. The caller protects it
// by a lock.
type Pool struct {
	total    int
	used     int
	unused   int // parts of the known owners that they do not use, together
	known    int // owners that have a part
	accounts map[string]*account
	groups   map[string]*groupAccount
	groupOf  map[string]string
}

// account is what one owner has.
type account struct {
	used     int
	min, max int
	known    bool
	group    *groupAccount // nil if none bounds the owner
}

func (a *account) unused() int { return max(a.min-a.used, 0) }

// groupAccount is what the members of a group have together.
type groupAccount struct {
	used, unused, max int
}

// NewPool returns a pool of total slots.
func NewPool(total int, s Shares) *Pool {
	p := &Pool{total: total, accounts: make(map[string]*account)}
	p.Divide(s)
	return p
}

// Divide divides the pool anew. An owner that has more than it now may have keeps it.
func (p *Pool) Divide(s Shares) {
	old := p.accounts
	p.accounts, p.groups, p.groupOf = make(map[string]*account), make(map[string]*groupAccount), s.GroupOf
	p.known, p.unused = len(s.Owners), 0
	for name, most := range s.Groups {
		p.groups[name] = &groupAccount{max: min(most, p.total)}
	}
	for name, least := range s.Parts(p.total) {
		p.accounts[name] = p.newAccount(name, least, s.Owners[name].Max)
		p.accounts[name].known = true
	}
	for name, a := range old {
		if a.used > 0 {
			if p.accounts[name] == nil {
				p.accounts[name] = p.newAccount(name, 0, nil)
			}
			p.accounts[name].used = a.used
		}
	}
	for _, a := range p.accounts {
		p.unused += a.unused()
		if a.group != nil {
			a.group.used += a.used
			a.group.unused += a.unused()
		}
	}
}

func (p *Pool) newAccount(name string, least int, most *int) *account {
	a := &account{min: least, max: p.total, group: p.groups[p.groupOf[name]]}
	if most != nil {
		a.max = min(*most, p.total)
	}
	return a
}

// Parts returns what of total is guaranteed to each known owner: together no more than that, and
// those of a group no more than the group may have. Share.Min counts first. What is then left of
// half the total is divided evenly among the others, but each has at least one. If there is not one
// for each of them, none of them has a part.
func (s Shares) Parts(total int) map[string]int {
	parts, _ := s.divide(total)
	return parts
}

// Unshared returns how many owners have no part because there is not one for each of them, 0 if
// there is.
func (s Shares) Unshared(total int) int {
	_, unshared := s.divide(total)
	return unshared
}

func (s Shares) divide(total int) (parts map[string]int, unshared int) {
	d := &division{s, make(map[string]int, len(s.Owners)), total, maps.Clone(s.Groups)}
	for _, name := range slices.Sorted(maps.Keys(s.Owners)) {
		least := s.Owners[name].Min
		if least == nil {
			least = new(int)
		}
		d.give(name, *least)
	}
	even, most := d.evenly()
	if len(even) == 0 {
		return d.parts, 0
	}
	if len(even) > d.left {
		return d.parts, len(even)
	}
	part := max((total/2-(total-d.left))/len(even), 1)
	for _, name := range even {
		n := part
		if inGroup, ok := most[s.GroupOf[name]]; ok {
			n = min(n, inGroup)
		}
		d.give(name, n)
	}
	return d.parts, 0
}

// division is the parts that owners were given so far.
type division struct {
	Shares
	parts map[string]int
	left  int            // of the total
	room  map[string]int // left of what a group may have, by its name
}

// give gives a part to an owner that has none.
func (d *division) give(name string, n int) {
	if most := d.Owners[name].Max; most != nil {
		n = min(n, *most)
	}
	group := d.GroupOf[name]
	room, bounded := d.room[group]
	if bounded {
		n = min(n, room)
	}
	n = max(min(n, d.left), 0)
	d.parts[name] = n
	d.left -= n
	if bounded {
		d.room[group] -= n
	}
}

// evenly returns the owners that have an even part if there is one for each of them: those without
// Share.Min that may have slots, except the members of a group in which there is not one for each
// of these. most is what each member of a group can have, by the name of the group.
func (d *division) evenly() (owners []string, most map[string]int) {
	members := make(map[string]int)
	for name, x := range d.Owners {
		if x.Min == nil && (x.Max == nil || *x.Max > 0) {
			owners = append(owners, name)
			members[d.GroupOf[name]]++
		}
	}
	most = make(map[string]int)
	for group, room := range d.room {
		most[group] = room / max(members[group], 1)
	}
	owners = slices.DeleteFunc(owners, func(name string) bool {
		n, bounded := most[d.GroupOf[name]]
		return bounded && n == 0
	})
	return owners, most
}

// Class is what a pool distinguishes owners by. If one that is not Entitled cannot take a slot because
// of the limit of [Server], no other owner of its class that has as many slots or more can.
type Class uint8

// The classes.
const (
	Entitled Class = iota // does not use all of the part that it has
	Known                 // uses all of its part, or has none
	Unknown               // is not known
	Classes               // how many there are
)

// Class returns the class of an owner at present.
func (p *Pool) Class(owner string) Class {
	switch a := p.accounts[owner]; {
	case a == nil || !a.known:
		return Unknown
	case a.unused() > 0:
		return Entitled
	}
	return Known
}

// Used returns how many slots are taken.
func (p *Pool) Used() int { return p.used }

// UsedBy returns how many slots an owner has taken.
func (p *Pool) UsedBy(owner string) int {
	if a := p.accounts[owner]; a != nil {
		return a.used
	}
	return 0
}

// Check returns a *LimitError if the owner cannot take a slot.
func (p *Pool) Check(owner string) error {
	a := p.accounts[owner]
	if a == nil {
		a = p.newAccount(owner, 0, nil)
	}
	if a.used >= a.max && a.max < p.total {
		return &LimitError{Principal, a.max, a.used}
	}
	if g := a.group; g != nil && g.max-g.used-(g.unused-a.unused()) <= 0 {
		return &LimitError{InGroup, g.max, -1}
	}
	free := p.total - p.used - (p.unused - a.unused())
	if free <= 0 || p.known > 0 && !a.known && a.used >= free {
		e := &LimitError{Server, p.total, -1}
		if p.known <= 1 && a.used == p.used {
			e.Used = p.used
		}
		return e
	}
	return nil
}

// Excluded returns a *LimitError if the owner may never have a slot, because its maximum or that of its group is 0.
func (p *Pool) Excluded(owner string) error {
	a := p.accounts[owner]
	if a == nil {
		a = p.newAccount(owner, 0, nil)
	}
	switch {
	case a.max == 0:
		return &LimitError{Principal, 0, a.used}
	case a.group != nil && a.group.max == 0:
		return &LimitError{InGroup, 0, -1}
	}
	return nil
}

// Take takes a slot for an owner, which the caller gives back by Release. The error is that of
// Check.
func (p *Pool) Take(owner string) error {
	if err := p.Check(owner); err != nil {
		return err
	}
	a := p.accounts[owner]
	if a == nil {
		a = p.newAccount(owner, 0, nil)
		p.accounts[owner] = a
	}
	p.change(a, 1)
	return nil
}

// TakeAll is Take for n slots, of which it takes all or none.
func (p *Pool) TakeAll(owner string, n int) error {
	for taken := range n {
		if err := p.Take(owner); err != nil {
			p.ReleaseAll(owner, taken)
			return err
		}
	}
	return nil
}

// ReleaseAll is Release for n slots.
func (p *Pool) ReleaseAll(owner string, n int) {
	for range n {
		p.Release(owner)
	}
}

// Release gives back a slot of an owner.
func (p *Pool) Release(owner string) {
	a := p.accounts[owner]
	if a == nil || a.used == 0 {
		panic("quota: a slot was released twice")
	}
	p.change(a, -1)
	if a.used == 0 && !a.known {
		delete(p.accounts, owner)
	}
}

func (p *Pool) change(a *account, n int) {
	before := a.unused()
	a.used += n
	p.used += n
	p.unused += a.unused() - before
	if g := a.group; g != nil {
		g.used += n
		g.unused += a.unused() - before
	}
}
