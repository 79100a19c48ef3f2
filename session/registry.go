package session

import (
	"cmp"
	"container/list"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/session/quota"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/stream"
)

// Options bound a registry. The zero value of each field means the default that is given with it.
// A negative value has a meaning only if the field names one.
type Options struct {
	// MaxSessions is how many sessions may run at once; 0 is 100.
	MaxSessions int
	// MaxRetained is how many ended sessions are kept; 0 is 1000, negative is none.
	MaxRetained int
	// Retain is how long ended sessions are kept; 0 is 5 minutes, negative is not at all.
	Retain time.Duration
	// ReplayBytes is how many charged bytes each log keeps; 0 is 1 MiB.
	ReplayBytes int64
	// ReplayTotal is how many charged bytes all logs keep together; 0 is 256 MiB, negative is no
	// limit.
	ReplayTotal int64
	// StartTimeout is the longest time until a program is executed; 0 is 10 seconds, negative is no
	// limit.
	StartTimeout time.Duration
	// OnRunning, if not nil, is called for each session whose command runs, and OnEnded, if not nil,
	// once for each session that Reserve has made, after OnRunning: when it has ended, or its command
	// could not be run, which View tells apart. They are called without locks, and must not block.
	// When Shutdown has returned, there are no further calls.
	OnRunning, OnEnded func(*Session)
	// OnDestination, if not nil, is called for each destination that a command in a sandbox uses
	// through its proxy, or is refused: at the first use, and before OnEnded with the final numbers. It
	// must not block.
	OnDestination func(*Session, egress.Event)
	// MaxProxied is how many connections the commands in sandboxes may have to their proxies, all
	// together. Each has at most two descriptors. 0 is 1024.
	MaxProxied int
	// MaxQueued is how many sessions may wait for a slot, each with up to queuedBytes of params; one
	// with more counts as several. 0 is 1000, negative is none.
	MaxQueued int
	// StartsPerSecond is how many sessions may begin in a second, all at once or one after the other;
	// 0 is no limit.
	StartsPerSecond float64
	// Log receives errors and warnings; the zero value discards them.
	Log zerolog.Logger
	// Spool, if not nil, keeps sessions on the disk: their records, and their output unless
	// Spec.NoSpool is set. The caller closes it after Shutdown. Commands converts their commands.
	Spool    *spool.Spool
	Commands CommandCodec
	// Host starts the processes. The caller closes it after Shutdown. With a nil Host, trees are
	// process groups.
	Host *process.Host
}

func (o Options) withDefaults() Options {
	o.MaxSessions = cmp.Or(o.MaxSessions, 100)
	o.MaxRetained = cmp.Or(o.MaxRetained, 1000)
	o.MaxProxied = cmp.Or(o.MaxProxied, 1024)
	o.MaxQueued = cmp.Or(o.MaxQueued, 1000)
	o.Retain = cmp.Or(o.Retain, 5*time.Minute)
	o.ReplayBytes = cmp.Or(o.ReplayBytes, 1<<20)
	o.ReplayTotal = cmp.Or(o.ReplayTotal, 256<<20)
	o.StartTimeout = cmp.Or(o.StartTimeout, 10*time.Second)
	return o
}

// Registry contains all sessions: at most MaxQueued that wait for a slot, at most MaxSessions that run,
// and at most MaxRetained that have ended, for at most Retain. A session takes a slot before it is
// started. The slot is released once: when the ended session is retained, or when a failed start has
// returned. All methods may be called concurrently.
type Registry struct {
	o       Options
	wg      sync.WaitGroup // sessions that have not ended, and supervisors
	budget  *stream.Budget // of all logs
	turns   *turns         // of starts
	proxied *proxied       // connections of the commands of all sessions

	mu        sync.Mutex
	owners    map[string]*owner // those that have sessions
	newest    int64             // the largest Session.created so far
	slots     *quota.Pool       // of sessions that run
	starts    *quota.Starts
	queue     *queue // of sessions that wait for a slot
	quotas    quota.Config
	groupOf   map[string]string // of the owners in it
	ended     list.List         // of *retained of all owners, oldest first
	weight    int64             // Spec.Weight of those together
	expiry    *time.Timer
	draining  bool
	survivors int // processes that outlived their session, of all sessions
	closed    bool
	restored  map[int64]weak.Pointer[Session] // sessions made of what the spool has, by Created
	idle      chan struct{}                   // closed when draining and no session runs; Shutdown waits for it
}

// NewRegistry returns an empty registry. The caller must call Shutdown.
func NewRegistry(o Options) *Registry {
	o = o.withDefaults()
	r := &Registry{
		o:       o,
		owners:  make(map[string]*owner),
		slots:   quota.NewPool(o.MaxSessions, quota.Shares{}),
		starts:  quota.NewStarts(o.StartsPerSecond, &quota.Config{}),
		turns:   newTurns(),
		proxied: newProxied(o.MaxProxied),
		idle:    make(chan struct{}),

		restored: make(map[int64]weak.Pointer[Session]),
	}
	if o.Spool != nil {
		r.newest = o.Spool.Newest()
	}
	r.queue = newQueue(max(o.MaxQueued, 0), r.slots)
	if o.ReplayTotal > 0 {
		r.budget = stream.NewBudget(o.ReplayTotal, r.evict)
	}
	return r
}

// Options returns the options with their defaults.
func (r *Registry) Options() Options { return r.o }

// SetQuotas divides the registry among owners. Sessions that run continue, and an owner that has
// more of something than it now may have keeps it. If the guaranteed sessions exceed MaxSessions,
// it returns an error and changes nothing.
func (r *Registry) SetQuotas(c quota.Config) error {
	if err := c.Check(r.o.MaxSessions); err != nil {
		return err
	}
	r.proxied.divide(c.Proxied())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quotas, r.groupOf = c, c.GroupOf()
	r.slots.Divide(c.Sessions())
	r.starts = quota.NewStarts(r.o.StartsPerSecond, &c)
	r.budget.Divide(replayShares(&c, r.o.ReplayTotal))
	r.queue.places.Divide(c.Queue())
	r.queue.reorderAll()
	r.giveSlots(time.Now())
	return nil
}

// Reserve takes a slot for a new session, or if there is none and Spec.QueueTimeout is set, a place in
// the queue. The caller then calls Start, Begin or Discard. If the owner has a session with that id and
// the same params, Reserve returns that one and created is false. Errors: ErrShuttingDown,
// *quota.LimitError, *quota.RateError, ErrUnavailable, ErrExists if the owner uses the id with other
// params, and *NameError if the name is in use. The ids and names of other owners make no difference.
func (r *Registry) Reserve(spec Spec) (s *Session, created bool, err error) {
	for {
		s, kept, created, err := r.findOrAdd(spec)
		switch {
		case err != nil || created:
			return s, created, err
		case s == nil && !kept.SameParams(spec.params()), s != nil && !s.spec.sameParams(&spec):
			return nil, false, ErrExists
		case s != nil:
			return s, false, nil
		}
		if s, err = r.restoreOne(kept); err != ErrNotFound {
			return s, false, err
		}
		if again, ok := r.o.Spool.Find(spec.Owner, spec.ID); ok && again.Key() == kept.Key() {
			return nil, false, ErrUnavailable // its command has run, so that another must not
		}
	}
}

// findOrAdd returns the owner's session with that id, or what the spool has of it, or a new one.
func (r *Registry) findOrAdd(spec Spec) (s *Session, kept spool.Kept, created bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.find(spec.Owner, spec.ID); s != nil {
		return s, kept, false, nil
	}
	if kept, ok := r.o.Spool.Find(spec.Owner, spec.ID); ok {
		return nil, kept, false, nil
	}
	if r.draining {
		return nil, kept, false, ErrShuttingDown
	}
	if err := r.checkName(&spec); err != nil {
		return nil, kept, false, err
	}
	now := time.Now()
	if r.queue.retry != nil { // those that wait are first; without it none may start
		r.giveSlots(now)
	}
	var waiting *place
	if err := r.takeSlot(spec.Owner, now); err != nil {
		if waiting = r.queue.reserve(&spec, err); waiting == nil {
			return nil, kept, false, err
		}
	}
	account := r.budget.Open(spec.Owner)
	s = newSession(r, spec, account, r.nextCreated(now.UnixNano()))
	if waiting != nil {
		waiting.s, s.place, s.waits, s.status.state = s, waiting, true, Queued
	}
	r.add(s)
	r.owners[spec.Owner].account = account
	s.byTurns = len(r.quotas.Owners) > 1 || len(r.owners) > 1
	r.wg.Add(1)
	return s, kept, true, nil
}

// Excluded returns a *quota.LimitError if the quotas of an owner, or of its group, permit no session at all.
func (r *Registry) Excluded(owner string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots.Excluded(owner)
}

// takeSlot takes a slot for a session that begins.
func (r *Registry) takeSlot(owner string, now time.Time) error {
	if err := r.slots.Check(owner); err != nil {
		return err
	}
	if err := r.starts.Take(owner, now); err != nil {
		return err
	}
	err := r.slots.Take(owner)
	r.queue.slotsChanged(owner)
	return err
}

// Find returns the owner's session with that id. The error is ErrNotFound, or ErrUnavailable if only the
// spool has the session and the disk does not respond.
func (r *Registry) Find(owner, id string) (*Session, error) {
	r.mu.Lock()
	s := r.find(owner, id)
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	if kept, ok := r.o.Spool.Find(owner, id); ok {
		return r.restoreOne(kept)
	}
	return nil, ErrNotFound
}

// Running returns how many slots are in use.
func (r *Registry) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots.Used()
}

// supervise starts to read the output of a session and to wait for the exit of its command.
// Shutdown waits for all goroutines of that. A goroutine for the 10 µs that this takes would wake
// up a thread beside the command.
func (r *Registry) supervise(s *Session, p *process.Process) {
	r.wg.Add(1) // until the supervisor has returned
	s.supervise(p)
}

// reportSurvivors logs and counts processes of a session that outlived SIGKILL, and logs if there
// may be some.
func (r *Registry) reportSurvivors(s *Session, swept *process.SweepResult) {
	if swept.Unverified {
		s.logged(r.o.Log.Error()).Msg("cannot verify that the processes of a session have ended")
	}
	pids := swept.Survivors
	if len(pids) == 0 {
		return
	}
	r.mu.Lock()
	r.survivors += len(pids)
	total := r.survivors
	r.mu.Unlock()
	s.logged(r.o.Log.Error()).Ints("pids", pids).Int("total", total).Msg("processes survive their session")
}

// releaseSlot is called with the registry's lock held.
func (r *Registry) releaseSlot(s *Session) {
	r.slots.Release(s.spec.Owner)
	r.queue.slotsChanged(s.spec.Owner)
	if r.draining && r.slots.Used() == 0 {
		close(r.idle)
	}
	r.giveSlots(time.Now())
}

// Drain makes Reserve return ErrShuttingDown for new sessions, and ends those in the queue with that
// error. The channel is closed when no session runs.
func (r *Registry) Drain() <-chan struct{} {
	for _, s := range r.drain() {
		s.End(Shutdown, nil)
	}
	return r.idle
}

// drain returns the sessions in the queue, which are given no slots any more.
func (r *Registry) drain() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining {
		r.draining = true
		if r.slots.Used() == 0 {
			close(r.idle)
		}
	}
	return r.queue.sessions()
}

// Draining reports whether Drain was called.
func (r *Registry) Draining() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.draining
}

// ShutdownGrace is the longest grace at shutdown, whatever the sessions' own.
const ShutdownGrace = 10 * time.Second

// Shutdown calls Drain, waits until no session runs or ctx is done, and then ends those that run
// with the cause Shutdown and a grace of at most ShutdownGrace. When it returns, all sessions have
// ended, and no goroutine of the registry is left except starts that wait for a file system.
func (r *Registry) Shutdown(ctx context.Context) {
	idle := r.Drain()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	r.endAll(ShutdownGrace)
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.expiry != nil {
		r.expiry.Stop()
	}
}

// Kill ends all sessions without a grace, also those that are ending. It does not wait: see
// Shutdown.
func (r *Registry) Kill() {
	r.endAll(0)
}

// maxEnding is how many sessions are signaled at once. Their scans of the process table are shared.
const maxEnding = 64

// endAll requests the end of all sessions.
func (r *Registry) endAll(maxGrace time.Duration) {
	endEach(r.all(), func(s *Session) {
		grace := min(s.spec.Grace, maxGrace)
		s.End(Shutdown, &grace)
	})
}

// endEach calls end for each session, for up to maxEnding at once.
func endEach(sessions []*Session, end func(*Session)) {
	var ending sync.WaitGroup
	free := make(chan struct{}, maxEnding)
	for _, s := range sessions {
		free <- struct{}{}
		ending.Go(func() {
			defer func() { <-free }()
			end(s)
		})
	}
	ending.Wait()
}

func (r *Registry) all() (list []*Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.owners {
		list = slices.AppendSeq(list, maps.Values(o.sessions))
	}
	return list
}
