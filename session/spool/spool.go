package spool

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/session/spool/paramhash"
	"github.com/runnel-rpc/runnel/session/spool/window"
	"github.com/runnel-rpc/runnel/stream"
)

// Options bound a spool. All but Files and Log must be set.
type Options struct {
	// SessionBytes is how much of the disk the output of one session may take. Beyond it the oldest
	// output is removed.
	SessionBytes int64
	// TotalBytes is how much of the disk all sessions may take together. Beyond it the output of ended
	// sessions is removed, the oldest first of the owner that has most, and then their records.
	TotalBytes int64
	// FreeBytes is how much of the disk is free. The spool takes at most a tenth of that and of what it
	// has when it is opened, together; 0 is no bound.
	FreeBytes int64
	// Retain is how long a session is kept after its end.
	Retain time.Duration
	// MaxSessions is how many sessions are kept.
	MaxSessions int
	// WindowBytes is how much of the disk the window may take: the newest output of the sessions that
	// run. It should be what their logs hold in memory.
	WindowBytes int64
	// Lost returns the meta of the record of a session that ran when its server ended. start is that of
	// Start.Meta, end is the end of the output that was saved.
	Lost func(start []byte, end stream.Mark) ([]byte, error)
	// Files are the operations on files; nil is those of the operating system.
	Files disk.Files
	// Log receives errors and warnings.
	Log zerolog.Logger
}

// Spool is a directory that keeps sessions. All methods may be called concurrently.
type Spool struct {
	dir     string
	o       Options
	files   *fileCache
	disk    disk.Files
	hash    *paramhash.Key
	journal *journal.Journal
	window  *window.Window
	unlock  func()

	writer  *worker
	storers []*worker
	loader  loader
	remover *remover
	// freeMemory frees the memory of the blocks of the storers.
	freeMemory func()
	group      group          // belongs to the writer
	segment    uint32         // belongs to the writer: the segment of the journal that it has written to
	small      *block.Builder // belongs to the writer

	untidy   chan struct{} // wakes the janitor
	reading  chan struct{} // holds a token for each call of Load that reads
	unsynced atomic.Bool   // the journal has entries that are not synced
	// blockTime is how many nanoseconds the newest write to an output file took, and
	// directWithin how long that may take so that new output is stored directly.
	blockTime    atomic.Int64
	directWithin time.Duration
	cancel       context.CancelFunc
	wg           sync.WaitGroup // syncer, janitor and remover

	mu       sync.Mutex // may be taken under the lock of a log, or of a registry of sessions
	index    index
	output   int64            // allocated bytes of all output files
	segments map[uint32]int64 // bytes of the entries of each segment of the journal that are needed
	open     map[int64]*Session
	warned   time.Time // of the last line in the log about an error of the disk
}

// syncInterval is the time between two syncs of the journal. A loss of power loses at most what was
// written since.
const syncInterval = 100 * time.Millisecond

const (
	// outputDir is the directory of the output files.
	outputDir  = "output"
	lockFile   = "lock"
	windowFile = "window"
	// keyFile is the file with the key of the hash of params.
	keyFile = "key"
)

func (sp *Spool) outputPath(e *entry) string {
	return filepath.Join(sp.dir, outputDir, fmt.Sprintf("%016x-%s.log", e.key, e.id))
}

// NewSession returns the session with a key, which is larger than that of all others. Nothing is
// written before Begin. It returns nil if the disk does not respond at the moment.
func (sp *Spool) NewSession(key int64, owner, id, name string) *Session {
	if sp.writer.isStalled() {
		return nil
	}
	e := &entry{key: key, id: id, name: name, open: true}
	s := &Session{
		output:    output{spool: sp, entry: e},
		started:   make(chan struct{}),
		completed: make(chan struct{}),
	}
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.index.add(e, owner)
	sp.open[key] = s
	if len(sp.index.byKey) > sp.o.MaxSessions {
		sp.kick()
	}
	return s
}

// Newest returns the largest key of a session.
func (sp *Spool) Newest() int64 {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.index.newest
}

// update changes what is known of a session, and the sums that contain it, unless it was removed.
func (sp *Spool) update(e *entry, f func(*entry)) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if e.gone {
		return
	}
	before := *e
	f(e)
	e.owner.journal += e.inJournal() - before.inJournal()
	e.owner.output += e.output - before.output
	sp.output += e.output - before.output
	sp.segments[before.start.Segment] -= before.startBytes
	sp.segments[before.record.Segment] -= before.recordBytes
	sp.segments[e.start.Segment] += e.startBytes
	sp.segments[e.record.Segment] += e.recordBytes
}

// drop removes a session from the index, and reports whether it was there.
func (sp *Spool) drop(e *entry) bool {
	if e.gone {
		return false
	}
	sp.index.remove(e)
	sp.output -= e.output
	sp.segments[e.start.Segment] -= e.startBytes
	sp.segments[e.record.Segment] -= e.recordBytes
	return true
}

// recordOf returns where the record of a session is. It may be moved at any time.
func (sp *Spool) recordOf(e *entry) journal.Position {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return e.record
}

// forgetEntry removes a session that leaves nothing on the disk but its start.
func (sp *Spool) forgetEntry(e *entry) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.drop(e)
	delete(sp.open, e.key)
}

// closeEntry records that this server has ended a session.
func (sp *Spool) closeEntry(e *entry) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	e.open = false
	delete(sp.open, e.key)
}

// stop ends the saving of a session because of an error of the disk.
func (sp *Spool) stop(s *Session, err error) {
	if s.Stop(err) {
		sp.warn(err, "output of a session no longer saved")
	}
}

// warnInterval is the least time between two warnings about the disk.
const warnInterval = time.Second

// warn logs an error of the disk, unless one was logged just before.
func (sp *Spool) warn(err error, what string) {
	now := time.Now()
	sp.mu.Lock()
	again := now.Sub(sp.warned) < warnInterval
	if !again {
		sp.warned = now
	}
	sp.mu.Unlock()
	if !again {
		sp.o.Log.Warn().Err(err).Str("spool", sp.dir).Msg(what)
	}
}

// sync syncs the journal regularly.
func (sp *Spool) sync(ctx context.Context) {
	t := time.NewTicker(syncInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if sp.unsynced.Swap(false) {
			if err := sp.journal.Sync(); err != nil {
				sp.warn(err, "journal not synced")
			}
		}
	}
}
