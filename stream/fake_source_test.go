package stream

import (
	"errors"
	"slices"
	"sort"
	"sync"
	"testing"
)

// fakeSource is a Source in memory. A test decides when and how each load ends.
type fakeSource struct {
	mu          sync.Mutex
	oldest, end Mark
	items       []Item
	loads       []*fakeLoad // that have not ended
	held        []*fakeLoad // whose part was not released
	released    int
	bad         bool // a part was released twice
}

type fakeLoad struct {
	s          *fakeSource
	seq        int64
	eventsOnly bool
	done       func(*Loaded, error)
	revoked    func()
	canceled   bool
}

func (s *fakeSource) Bounds() (oldest, end Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oldest, s.end
}

func (s *fakeSource) Load(seq int64, eventsOnly bool, done func(*Loaded, error), revoked func()) Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &fakeLoad{s: s, seq: seq, eventsOnly: eventsOnly, done: done, revoked: revoked}
	s.loads = append(s.loads, f)
	return f
}

func (f *fakeLoad) Cancel() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.canceled = true
}

// add stores an item.
func (s *fakeSource) add(it Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.Data = slices.Clone(it.Data)
	s.items = append(s.items, it)
	s.end.Seq = it.To
	if it.Kind == Event {
		s.end.Events++
	}
}

// store stores at most n bytes of each of so many items of l, and confirms it. It returns false at
// a gap.
func (s *fakeSource) store(l *Log, items int, n int64) bool {
	for range items {
		it, ok := l.Saver().NextUnstored(n)
		if ok && it.Gap {
			return false
		} else if ok {
			s.add(it)
		}
	}
	l.Saver().Stored()
	return true
}

// remove removes so many of the oldest items.
func (s *fakeSource) remove(n int) (oldest Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range min(n, len(s.items)) {
		s.oldest.Seq = s.items[0].To
		if s.items[0].Kind == Event {
			s.oldest.Events++
		}
		s.items = s.items[1:]
	}
	return s.oldest
}

// next returns a load that has not ended, or nil. Some of those that were canceled end all the
// same.
func (s *fakeSource) next(i int) *fakeLoad {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.loads) == 0 {
		return nil
	}
	i %= len(s.loads)
	f := s.loads[i]
	s.loads = slices.Delete(s.loads, i, i+1)
	return f
}

// finish ends a load with a part of at most so many items, of which some are before its position.
func (f *fakeLoad) finish(before, items int) {
	p, err := f.part(before, items)
	f.done(p, err)
}

// finishWithout ends a load with a part that lacks an item, if it has output.
func (f *fakeLoad) finishWithout(i int) {
	p, err := f.part(1, 4)
	if err == nil && i < len(p.Items) && !f.eventsOnly {
		p.Items = slices.Delete(p.Items, i, i+1)
	}
	f.done(p, err)
}

func (f *fakeLoad) part(before, items int) (*Loaded, error) {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.seq < s.oldest.Seq {
		return nil, ErrRemoved
	}
	if f.seq >= s.end.Seq {
		return nil, errors.New("nothing is there")
	}
	i := sort.Search(len(s.items), func(i int) bool { return s.items[i].To > f.seq })
	some := s.items[max(0, i-before):min(len(s.items), i+1+items)]
	p := &Loaded{From: some[0].From, To: some[len(some)-1].To}
	for _, it := range some {
		if !f.eventsOnly || it.Kind == Event {
			p.Items = append(p.Items, it)
		}
	}
	s.held = append(s.held, f)
	p.Release = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := len(s.held)
		s.held = slices.DeleteFunc(s.held, func(x *fakeLoad) bool { return x == f })
		s.bad = s.bad || len(s.held) == n
		s.released++
	}
	return p, nil
}

// revoke revokes a loaded part.
func (s *fakeSource) revoke(i int) {
	s.mu.Lock()
	if len(s.held) == 0 {
		s.mu.Unlock()
		return
	}
	f := s.held[i%len(s.held)]
	s.mu.Unlock()
	f.revoked()
}

// checkReleased checks that no loaded part is in use.
func (s *fakeSource) checkReleased(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) > 0 || s.bad {
		t.Errorf("%d loaded parts were not released, released twice: %v", len(s.held), s.bad)
	}
}
