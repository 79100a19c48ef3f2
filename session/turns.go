package session

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// turns lets the starts of several owners take turns. The kernel and the Go runtime fork one process
// after the other, so an owner with many connections would make the start of another wait for all of
// its own. With a single owner there are no turns, as they would cost 5 % of the parallel starts of
// short commands. At most as many starts as processors are on their way; of those that wait, the owners
// take turns, and those of one owner are served in their order.
type turns struct {
	mu     sync.Mutex
	free   int
	owners []*turnQueue // that have starts waiting, in the order of their turns
}

// turnQueue is the starts of one owner that wait. Each is woken by closing its channel.
type turnQueue struct {
	owner   string
	waiting []chan struct{}
}

func newTurns() *turns { return &turns{free: max(runtime.GOMAXPROCS(0), 2)} }

// enter waits for a turn of an owner. The caller calls leave.
func (t *turns) enter(owner string) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	i := slices.IndexFunc(t.owners, func(q *turnQueue) bool { return q.owner == owner })
	if i < 0 {
		i = len(t.owners)
		t.owners = append(t.owners, &turnQueue{owner: owner})
	}
	t.owners[i].waiting = append(t.owners[i].waiting, mine)
	t.mu.Unlock()
	<-mine
}

// leave passes the turn on to the first start of the next owner.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.owners) == 0 {
		t.free++
		return
	}
	q := t.owners[0]
	close(q.waiting[0])
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	t.owners = slices.Delete(t.owners, 0, 1)
	if len(q.waiting) > 0 {
		t.owners = append(t.owners, q)
	}
}

// maxTurn is how long a start that a file system may block keeps its turn.
const maxTurn = 10 * time.Millisecond

// enterBriefly is enter for a start that may take any time. It keeps its turn for at most maxTurn.
func (t *turns) enterBriefly(owner string) (leave func()) {
	t.enter(owner)
	once := sync.OnceFunc(t.leave)
	timer := time.AfterFunc(maxTurn, once)
	return func() {
		timer.Stop()
		once()
	}
}
