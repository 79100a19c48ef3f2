package session

import (
	"container/list"
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/stream"
)

// Options bound a registry. No field has a default here: the command line has them.
type Options struct {
	MaxSessions int           // that run at once
	MaxRetained int           // ended ones that are kept
	Retain      time.Duration // how long they are kept
	ReplayBytes int64         // of each log
	ReplayTotal int64         // of all logs together; 0 is any
	Log         zerolog.Logger
	// StartTimeout is the longest time that a start takes until the program is executed; 0 is any.
	StartTimeout time.Duration
	// Host starts the processes. It is closed after Shutdown. A nil one holds them by their groups alone.
	Host *process.Host
}

// maxRetainedBytes is the most that the commands and labels of ended sessions take together. The newest is kept
// whatever it takes.
const maxRetainedBytes = 64 << 20

// Registry holds all sessions: at most MaxSessions that run, at most MaxRetained that have ended, those for
// at most Retain. A session takes a slot before it is started and gives it back once, when its record is
// retained, or when nothing is left of its failed start. All methods may be called concurrently.
type Registry struct {
	o      Options
	wg     sync.WaitGroup // sessions that have not ended, and supervisors
	budget *stream.Budget // of all logs

	mu        sync.Mutex
	sessions  map[string]*Session
	index     index // of the same
	running   int
	ended     list.List // of *retained, oldest first
	weight    int64     // of those together
	full      list.List // of *Session: those of them whose log was not shed
	expiry    *time.Timer
	draining  bool
	survivors int // processes that could not be ended, of all sessions
	closed    bool
	idle      chan struct{} // closed when draining and nothing runs
}

type retained struct {
	s     *Session
	until time.Time
	full  *list.Element
}

// NewRegistry returns an empty registry. Its Shutdown must be called.
func NewRegistry(o Options) *Registry {
	r := &Registry{o: o, sessions: make(map[string]*Session), idle: make(chan struct{})}
	if o.ReplayTotal > 0 {
		r.budget = stream.NewBudget(o.ReplayTotal, r.shed)
	}
	return r
}

// Reserve takes a slot for a new session, which the caller starts. If the owner's session of that id is
// there already, it returns that one and false. Errors: ErrShuttingDown, *LimitError, ErrExists where the
// one that is there was made by other params, or belongs to someone else.
func (r *Registry) Reserve(spec Spec) (s *Session, created bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[spec.ID]; s != nil {
		if s.spec.Owner != spec.Owner || s.spec.Params != spec.Params {
			return nil, false, ErrExists
		}
		return s, false, nil
	}
	switch {
	case r.draining:
		return nil, false, ErrShuttingDown
	case r.running >= r.o.MaxSessions:
		return nil, false, &LimitError{Limit: r.o.MaxSessions, Running: r.running}
	}
	s = newSession(r, spec)
	r.sessions[spec.ID] = s
	r.index.add(s, time.Now().UnixNano())
	r.running++
	r.wg.Add(1)
	return s, true, nil
}

// Find returns the owner's session of that id, or ErrNotFound.
func (r *Registry) Find(owner, id string) (*Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil || s.spec.Owner != owner {
		return nil, ErrNotFound
	}
	return s, nil
}

// List returns the owner's sessions whose start has begun, newest first.
func (r *Registry) List(owner string) []*Session { return r.ListBefore(owner, 0, math.MaxInt) }

// listBatch is how many sessions are listed at once under the registry's lock.
const listBatch = 256

// ListBefore returns at most n of the owner's sessions whose start has begun and whose Created is before that, newest
// first; 0 is now. The order is that in which they were made. It takes time for the sessions that it looks at, not for
// all that there are.
func (r *Registry) ListBefore(owner string, created int64, n int) (list []*Session) {
	for len(list) < n {
		r.mu.Lock()
		batch := r.index.before(owner, created, min(listBatch, n-len(list)))
		r.mu.Unlock()
		if len(batch) == 0 {
			break
		}
		created = batch[len(batch)-1].created
		list = append(list, slices.DeleteFunc(batch, func(s *Session) bool { return !s.wasStarted() })...)
	}
	return list
}

// Running counts the slots that are taken.
func (r *Registry) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

// supervise sees a started session to its end in a goroutine that Shutdown waits for.
func (r *Registry) supervise(s *Session, p *process.Process) {
	r.wg.Go(func() { s.supervise(p) })
}

// survived logs and counts processes of a session that even SIGKILL did not end, and logs where there may be some.
func (r *Registry) survived(s *Session, swept *process.SweepResult) {
	if swept.Unverified {
		r.o.Log.Error().Str("session", s.spec.ID).Msg("cannot verify that the processes of a session have ended")
	}
	pids := swept.Survivors
	if len(pids) == 0 {
		return
	}
	r.mu.Lock()
	r.survivors += len(pids)
	total := r.survivors
	r.mu.Unlock()
	r.o.Log.Error().Str("session", s.spec.ID).Ints("pids", pids).Int("total", total).Msg("processes survive their session")
}

// forget drops a session that could not be started, and gives its slot back.
func (r *Registry) forget(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(s)
	r.release()
}

// retain keeps a session whose record is about to be made for a while, and gives its slot back. It must be called
// without the session's lock.
func (r *Registry) retain(s *Session) { leave(r.keep(s)) }

// relieve sheds for an append that waits for the budget. It is called when the log of an ended session may have come to
// be dispensable, without any session's lock.
func (r *Registry) relieve() {
	if r.budget.HasWaiters() {
		r.shed()
	}
}

// keep returns the sessions that are not kept any more, or not at all.
func (r *Registry) keep(s *Session) (dropped []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release()
	r.wg.Done()
	if r.closed || r.o.MaxRetained <= 0 || r.o.Retain <= 0 {
		r.remove(s)
		return []*Session{s}
	}
	r.ended.PushBack(&retained{s: s, until: time.Now().Add(r.o.Retain), full: r.full.PushBack(s)})
	r.weight += s.spec.Weight
	for r.ended.Len() > r.o.MaxRetained || r.weight > maxRetainedBytes && r.ended.Len() > 1 {
		dropped = append(dropped, r.drop(r.ended.Front()))
	}
	if r.expiry == nil {
		r.expiry = time.AfterFunc(r.o.Retain, r.expire)
	}
	return dropped
}

// leave takes the logs of sessions that are forgotten out of the budget, without the registry's lock.
func leave(dropped []*Session) {
	for _, s := range dropped {
		s.log.ReleaseBudget()
	}
}

func (r *Registry) remove(s *Session) {
	delete(r.sessions, s.spec.ID)
	r.index.remove(s)
}

// release gives a slot back.
func (r *Registry) release() {
	r.running--
	if r.running < 0 {
		panic("session: a slot came back twice")
	}
	if r.draining && r.running == 0 {
		close(r.idle)
	}
}

// drop forgets an ended session and returns it: its log has to leave the budget.
func (r *Registry) drop(e *list.Element) *Session {
	x := r.ended.Remove(e).(*retained)
	r.full.Remove(x.full)
	r.weight -= x.s.spec.Weight
	r.remove(x.s)
	return x.s
}

// shed gives up the logs of ended sessions, oldest first, until all logs together are within their bound. A
// log that somebody still reads, and who paces, is left for later.
func (r *Registry) shed() {
	r.mu.Lock()
	n := r.full.Len()
	r.mu.Unlock()
	for ; n > 0 && r.budget.Exceeded(); n-- {
		r.mu.Lock()
		e := r.full.Front()
		if e != nil {
			r.full.MoveToBack(e)
		}
		r.mu.Unlock()
		if e != nil && e.Value.(*Session).log.Evict() {
			r.mu.Lock()
			r.full.Remove(e) // of no effect if it was dropped meanwhile
			r.mu.Unlock()
		}
	}
}

// expire drops the records whose time has passed, and looks again when the next one's has.
func (r *Registry) expire() { leave(r.expired()) }

func (r *Registry) expired() (dropped []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	for e := r.ended.Front(); e != nil; e = r.ended.Front() {
		if rest := time.Until(e.Value.(*retained).until); rest > 0 {
			r.expiry.Reset(rest)
			return dropped
		}
		dropped = append(dropped, r.drop(e))
	}
	r.expiry = nil
	return dropped
}

// Drain makes the registry take no more sessions. The channel is closed when none runs.
func (r *Registry) Drain() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining {
		r.draining = true
		if r.running == 0 {
			close(r.idle)
		}
	}
	return r.idle
}

// Draining reports whether Drain was called.
func (r *Registry) Draining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// ShutdownGrace is the longest grace that a tree has at shutdown, whatever its client asked for.
const ShutdownGrace = 10 * time.Second

// Shutdown takes no more sessions, waits until none runs or ctx is done, ends those that run for cause
// Shutdown, with at most ShutdownGrace, and returns when all have ended and nothing of the registry is left running but
// starts that wait for a file system.
func (r *Registry) Shutdown(ctx context.Context) {
	idle := r.Drain()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	for _, s := range r.all() {
		grace := min(s.spec.Grace, ShutdownGrace)
		s.End(Shutdown, &grace)
	}
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.expiry != nil {
		r.expiry.Stop()
	}
}

// Kill ends every session at once, whatever grace it has or was given already. A Shutdown that waits for
// them returns soon.
func (r *Registry) Kill() {
	for _, s := range r.all() {
		s.End(Shutdown, new(time.Duration))
	}
}

func (r *Registry) all() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.sessions))
}
