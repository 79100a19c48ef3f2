package session

import (
	"container/list"
	"runtime"
	"sync"
	"time"
)

// turns lets the starts of several owners take turns. The kernel and the Go runtime fork one process
// after the other, so an owner with many connections would make the start of another wait for all of
// its own. With a single owner there are no turns, as they would cost 5 % of the parallel starts of
// short commands.
//
// At most as many starts as processors are on their way. If a single owner is active, these can all be
// its own. Otherwise one start of each is, and a command counts against its owner's part of the
// processors until it exits, for at most countedRun. Of the owners that wait, the one whose last turn is
// the longest ago is next; the starts of one owner are served in their order.
type turns struct {
	mu         sync.Mutex
	processors int
	starting   int // turns of all owners in the phase turnStarting
	owners     map[string]*turnOwner
	order      list.List // of the *turnOwner in owners, by served
}

// turnOwner is an owner that is active: it has turns or waits for one, or did so until
// ownerActive ago.
type turnOwner struct {
	name              string
	element           *list.Element // of turns.order
	starting, running int           // its turns in these phases
	waiting           []*turn
	served            time.Time // when its last turn began
	left              time.Time // when its last turn ended
}

// turn is that of one start.
type turn struct {
	turns *turns
	owner *turnOwner
	phase turnPhase
	begun chan struct{} // closed at the end of turnWaiting
	limit *time.Timer   // ends the turn; nil if nothing does
}

type turnPhase int

const (
	turnWaiting turnPhase = iota
	turnStarting
	turnRunning // the command runs
	turnEnded
)

const (
	// maxTurn is how long a start that a file system may block keeps its turn.
	maxTurn = 10 * time.Millisecond
	// countedRun is how long a command that runs counts against its owner's part of the processors.
	countedRun = time.Millisecond
	// ownerActive is how long an owner is active after its last turn.
	ownerActive = 100 * time.Millisecond
)

func newTurns() *turns {
	return &turns{processors: max(runtime.GOMAXPROCS(0), 2), owners: make(map[string]*turnOwner)}
}

// enter waits for a turn of an owner. The caller calls started, and end when the command has exited.
func (t *turns) enter(name string) *turn {
	t.mu.Lock()
	t.forget()
	o := t.owners[name]
	if o == nil {
		o = t.add(name)
	}
	w := &turn{turns: t, owner: o}
	if len(o.waiting) == 0 && t.permits(o) {
		t.begin(w)
		t.mu.Unlock()
		return w
	}
	w.begun = make(chan struct{})
	o.waiting = append(o.waiting, w)
	t.mu.Unlock()
	<-w.begun
	return w
}

// add adds an owner as if its last turn had begun ownerActive ago, which is the latest that it can be.
func (t *turns) add(name string) *turnOwner {
	o := &turnOwner{name: name, served: time.Now().Add(-ownerActive)}
	e := t.order.Back()
	for e != nil && e.Value.(*turnOwner).served.After(o.served) {
		e = e.Prev()
	}
	if e == nil {
		o.element = t.order.PushFront(o)
	} else {
		o.element = t.order.InsertAfter(o, e)
	}
	t.owners[name] = o
	return o
}

// enterBriefly is enter for a start that may take any time. It keeps its turn for at most maxTurn.
func (t *turns) enterBriefly(name string) *turn {
	w := t.enter(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	w.limit = time.AfterFunc(maxTurn, w.end)
	return w
}

// started is called when the start has returned.
func (w *turn) started() {
	t := w.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.phase != turnStarting {
		return
	}
	w.leave()
	if t.order.Len() > 1 {
		w.phase = turnRunning
		w.owner.running++
		w.limit = time.AfterFunc(countedRun, w.end)
	}
	t.next()
}

// end ends the turn. It has no effect on one that has ended, or that is nil.
func (w *turn) end() {
	if w == nil {
		return
	}
	t := w.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.phase == turnEnded {
		return
	}
	w.leave()
	t.next()
}

// leave ends the turn and passes it on to nobody.
func (w *turn) leave() {
	if w.phase == turnStarting {
		w.turns.starting--
		w.owner.starting--
	} else {
		w.owner.running--
	}
	w.phase, w.owner.left = turnEnded, time.Now()
	if w.limit != nil {
		w.limit.Stop()
	}
}

// permits reports whether a start of an owner may begin.
func (t *turns) permits(o *turnOwner) bool {
	active := t.order.Len()
	switch {
	case t.starting >= t.processors:
		return false
	case active == 1:
		return true
	default:
		return o.starting == 0 && o.running < max(t.processors/active, 1)
	}
}

// begin begins a turn.
func (t *turns) begin(w *turn) {
	w.phase = turnStarting
	t.starting++
	w.owner.starting++
	w.owner.served = time.Now()
	t.order.MoveToBack(w.owner.element)
}

// next begins the turns that are possible. While a start waits, there is a turn that will end.
func (t *turns) next() {
	t.forget()
	for {
		e := t.order.Front()
		for e != nil && (len(e.Value.(*turnOwner).waiting) == 0 || !t.permits(e.Value.(*turnOwner))) {
			e = e.Next()
		}
		if e == nil {
			return
		}
		o := e.Value.(*turnOwner)
		w := o.waiting[0]
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
		t.begin(w)
		close(w.begun)
	}
}

// forget removes owners that are no longer active.
func (t *turns) forget() {
	for t.order.Len() > 0 {
		o := t.order.Front().Value.(*turnOwner)
		if o.starting+o.running+len(o.waiting) > 0 || time.Since(o.left) < ownerActive {
			return
		}
		t.order.Remove(o.element)
		delete(t.owners, o.name)
	}
}
