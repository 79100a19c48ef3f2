package spool

import (
	"errors"
	"io/fs"
)

// makeRoom removes output until n more bytes fit into Options.TotalBytes, each with an operation on the
// disk, which op does. Output of sessions that run is removed by their storers, which takes a moment, so
// the bound may be exceeded by a few blocks. It is exceeded, too, by what cannot be removed.
func (sp *Spool) makeRoom(n int64, op func(func() error) error) {
	for {
		ended, running := sp.victim(n)
		if ended == nil {
			if running != nil {
				sp.store(running, taskShrink)
			}
			return
		}
		if err := op(func() error { return sp.removeOutput(ended) }); err != nil {
			sp.warn(err, "output of an ended session not removed")
			sp.update(ended, func(e *entry) { e.stuck = true })
		}
	}
}

// victim returns the session whose output is removed next, or nothing if n more bytes fit: of the
// owner that has most, the one that ended first, or else the running one with most output.
func (sp *Spool) victim(n int64) (ended *entry, running *Session) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	// The janitor bounds the journal. What it has beyond its share is not taken from the output of others.
	inJournal := min(sp.journal.Bytes(), sp.o.TotalBytes/journalShare)
	if sp.output+inJournal+n <= sp.o.TotalBytes {
		return nil, nil
	}
	o := sp.index.most(func(o *owner) int64 { return o.output })
	if o == nil {
		return nil, nil
	}
	if e := o.oldestEnded(func(e *entry) bool { return e.output > 0 && !e.stuck && !e.busy }); e != nil {
		return e, nil
	}
	for _, s := range sp.open {
		if s.entry.owner == o && s.entry.output > 0 && (running == nil || s.entry.output > running.entry.output) {
			running = s
		}
	}
	return nil, running
}

// removeOutput removes the output file of a session that has ended, if there is one. The record stays. The
// space of a large file is freed later.
func (sp *Spool) removeOutput(e *entry) error {
	sp.mu.Lock()
	bytes := e.output
	sp.mu.Unlock()
	f, err := sp.remover.unlink(sp.outputPath(e), bytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sp.files.forget(e.key)
	sp.update(e, func(e *entry) { e.output = 0 })
	sp.remover.add(f) // now that readers know that the output is removed
	return nil
}
