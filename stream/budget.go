package stream

import "sync/atomic"

// minShare is what a log may hold, in charged bytes, however much the others do: so each session gets on.
const minShare = 128 << 10

// Budget bounds what many logs hold together, in charged bytes. A nil Budget bounds nothing. All methods may
// be called concurrently.
type Budget struct {
	limit   int64
	used    atomic.Int64
	reclaim func()
}

// NewBudget returns a budget of limit bytes. Reclaim is called, without any lock of this package, when an
// append finds it exceeded: it may shed what is dispensable.
func NewBudget(limit int64, reclaim func()) *Budget {
	return &Budget{limit: limit, reclaim: reclaim}
}

// Exceeded reports whether the logs hold more than the limit.
func (b *Budget) Exceeded() bool { return b != nil && b.used.Load() > b.limit }

// Used is what the logs hold.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) add(n int64) {
	if b != nil {
		b.used.Add(n)
	}
}
