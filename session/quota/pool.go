package quota

import (
	"maps"
	"slices"
)

// Share is what one owner has of a pool. Nil is not set.
type Share struct {
	Min *int // is guaranteed; if it is not set, an even part of half the pool
	Max *int // it never has more
}

// Shares says how a pool is divided.
type Shares struct {
	Owners  map[string]Share  // the known owners
	Groups  map[string]int    // what the members of a group have together at most; by name
	GroupOf map[string]string // the group of an owner
}

// Pool divides a number of slots among owners. Half of them is divided evenly among the known
// owners: what one does not use of its part is kept for it. The rest is first come, first served,
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
// those of a group no more than the group may have.
func (s Shares) Parts(total int) map[string]int {
	left, even := total, 0
	half := total / 2
	for _, x := range s.Owners {
		if x.Min != nil {
			half -= *x.Min
		} else {
			even++
		}
	}
	ofGroup := maps.Clone(s.Groups)
	parts := make(map[string]int, len(s.Owners))
	for _, name := range slices.Sorted(maps.Keys(s.Owners)) {
		x, part := s.Owners[name], 0
		if x.Min != nil {
			part = *x.Min
		} else {
			part = max(half, 0) / even
			if group, ok := s.Groups[s.GroupOf[name]]; ok {
				part = min(part, group/members(s, s.GroupOf[name]))
			}
		}
		if x.Max != nil {
			part = min(part, *x.Max)
		}
		group := s.GroupOf[name]
		if rest, ok := ofGroup[group]; ok {
			part = min(part, rest)
			ofGroup[group] -= part
		}
		part = max(min(part, left), 0)
		left -= part
		parts[name] = part
	}
	return parts
}

// members returns how many known owners a group has.
func members(s Shares, group string) (n int) {
	for name := range s.Owners {
		if s.GroupOf[name] == group {
			n++
		}
	}
	return n
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
