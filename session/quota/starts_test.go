package quota

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// taken returns how many starts an owner takes in a row, at most 1000, and the error that ended it,
// which has to be that of Check too.
func taken(s *Starts, owner string, now time.Time) (n int, err error) {
	for n < 1000 && err == nil {
		check := s.Check(owner, now)
		if err = s.Take(owner, now); !reflect.DeepEqual(check, err) {
			return -1, check
		}
		if err == nil {
			n++
		}
	}
	return n, err
}

func TestStarts(t *testing.T) {
	now := time.Unix(1000, 0)
	config := Config{
		Owners: map[string]Quotas{"a": {}, "b": {}, "slow": {StartsPerSecond: ptr(2.0)}, "x": {}, "never": {StartsPerSecond: new(float64)}},
		Groups: map[string]Group{"g": {Members: []string{"x"}, Quotas: Quotas{StartsPerSecond: ptr(3.0)}}},
	}
	s := NewStarts(100, &config)
	expect := func(owner string, want int, scope Scope, perSecond float64) {
		t.Helper()
		n, err := taken(s, owner, now)
		var e *RateError
		if !errors.As(err, &e) || n != want || e.Scope != scope || e.PerSecond != perSecond || e.RetryAfter <= 0 {
			t.Errorf("%s: %d, %+v", owner, n, e)
		}
	}
	expect("slow", 2, Principal, 2)
	expect("never", 0, Principal, 0)
	expect("x", 3, InGroup, 3)
	expect("a", 60, Server, 100) // its part and all that is first come
	expect("unknown", 0, Server, 100)
	expect("b", 10, Server, 100)
	now = now.Add(500 * time.Millisecond)
	expect("slow", 1, Principal, 2)
	expect("b", 5+25, Server, 100)
	expect("a", 5, Server, 100)

	if s := NewStarts(0, &Config{Owners: map[string]Quotas{"a": {}}}); s != nil {
		t.Error("starts are bounded without a bound")
	}
	if n, err := taken(nil, "a", now); n != 1000 || err != nil {
		t.Errorf("without a bound: %d, %v", n, err)
	}
	s = NewStarts(0, &config)
	if n, err := taken(s, "a", now); n != 1000 || err != nil {
		t.Errorf("without a bound of a: %d, %v", n, err)
	}
	expect("slow", 2, Principal, 2)
}

// TestOneOwnerMayStartAll checks that an owner that is alone has the whole rate.
func TestOneOwnerMayStartAll(t *testing.T) {
	for _, c := range []Config{{}, {Owners: map[string]Quotas{"user": {}}}} {
		if n, _ := taken(NewStarts(100, &c), "user", time.Unix(1000, 0)); n != 100 {
			t.Errorf("%+v: %d of 100", c, n)
		}
	}
}
