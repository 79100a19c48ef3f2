package quota

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Starts bounds how many sessions begin in a second: in total, of each owner and of each group with
// a bound. Half of the total is divided evenly among the known owners, as in a [Pool]; the rest is
// first come, first served. Up to as many starts as are permitted in a second may be at once.
//
// It has buckets of the known owners only. The caller protects it by a lock. A nil *Starts bounds
// nothing.
type Starts struct {
	perSecond float64 // 0 is no limit
	shared    *rate.Limiter
	owners    map[string]*startBuckets
}

// startBuckets are those of one known owner. Nil is no limit.
type startBuckets struct {
	own, group *rate.Limiter // bounds of the owner and of its group
	part       *rate.Limiter // of the total, for this owner only
}

// NewStarts returns bounds of perSecond starts in total; 0 is no limit. It returns nil if there is
// nothing to bound.
func NewStarts(perSecond float64, c *Config) *Starts {
	s := &Starts{perSecond: perSecond, owners: make(map[string]*startBuckets)}
	bounded := perSecond > 0
	groups := make(map[string]*rate.Limiter)
	for name, g := range c.Groups {
		groups[name] = bucket(g.Quotas.StartsPerSecond)
		bounded = bounded || groups[name] != nil
	}
	groupOf := c.GroupOf()
	owners := c.starters()
	part := perSecond / 2 / float64(max(len(owners), 1))
	for name, q := range owners {
		b := &startBuckets{own: bucket(q.StartsPerSecond), group: groups[groupOf[name]]}
		if perSecond > 0 {
			b.part = bucket(&part)
		}
		bounded = bounded || b.own != nil
		s.owners[name] = b
	}
	if perSecond > 0 {
		rest := perSecond - part*float64(len(owners))
		s.shared = bucket(&rest)
	}
	if !bounded {
		return nil
	}
	return s
}

// bucket returns a limiter whose burst is what is permitted in a second, at least 1 unless that is 0.
func bucket(perSecond *float64) *rate.Limiter {
	if perSecond == nil {
		return nil
	}
	return rate.NewLimiter(rate.Limit(*perSecond), int(math.Ceil(min(*perSecond, math.MaxInt32))))
}

// Take counts a start of an owner. It returns a *RateError if the owner has to wait.
func (s *Starts) Take(owner string, now time.Time) error {
	if err := s.Check(owner, now); s == nil || err != nil {
		return err
	}
	b := s.of(owner)
	if s.perSecond > 0 && (b.part == nil || !b.part.AllowN(now, 1)) {
		s.shared.AllowN(now, 1)
	}
	for _, l := range []*rate.Limiter{b.own, b.group} {
		if l != nil {
			l.AllowN(now, 1)
		}
	}
	return nil
}

// Check returns the error that Take would return.
func (s *Starts) Check(owner string, now time.Time) error {
	if s == nil {
		return nil
	}
	b := s.of(owner)
	if err := b.check(now); err != nil {
		return err
	}
	if s.perSecond <= 0 || b.part != nil && has(b.part, now) || has(s.shared, now) {
		return nil
	}
	return s.sharedError(now)
}

// of returns the buckets of an owner.
func (s *Starts) of(owner string) *startBuckets {
	if b := s.owners[owner]; b != nil {
		return b
	}
	return &startBuckets{}
}

// check returns an error if the owner, or its group, has no start left.
func (b *startBuckets) check(now time.Time) error {
	switch {
	case !has(b.own, now):
		return rateError(Principal, b.own, b.own.Limit(), now)
	case !has(b.group, now):
		return rateError(InGroup, b.group, b.group.Limit(), now)
	}
	return nil
}

func (s *Starts) sharedError(now time.Time) error {
	return rateError(Server, s.shared, rate.Limit(s.perSecond), now)
}

// has reports whether a start is left in a bucket.
func has(l *rate.Limiter, now time.Time) bool { return l == nil || l.TokensAt(now) >= 1 }

// maxRetry bounds RateError.RetryAfter, also for a bucket that is never filled.
const maxRetry = time.Minute

func rateError(scope Scope, l *rate.Limiter, perSecond rate.Limit, now time.Time) error {
	wait := maxRetry
	if l.Limit() > 0 {
		seconds := (1 - l.TokensAt(now)) / float64(l.Limit())
		wait = time.Duration(min(seconds, maxRetry.Seconds()) * float64(time.Second))
	}
	return &RateError{scope, float64(perSecond), max(wait, time.Millisecond)}
}
