package spool

import (
	"errors"
	"io/fs"
)

// makeRoom removes output until n more bytes fit into Options.TotalBytes. Output of sessions that run
// is removed by their storers, which takes a moment, so the bound may be exceeded by a few blocks.
func (sp *Spool) makeRoom(n int64) error {
	for {
		ended, running := sp.victim(n)
		switch {
		case ended != nil:
			if err := sp.removeOutput(ended); err != nil {
				return err
			}
		case running != nil:
			sp.store(running, taskShrink)
			return nil
		default:
			return nil
		}
	}
}

// victim returns the session whose output is removed next, or nothing if n more bytes fit: of the
// owner that has most, the one that ended first, or else the running one with most output.
func (sp *Spool) victim(n int64) (ended *entry, running *Session) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.output+sp.journal.Bytes()+n <= sp.o.TotalBytes {
		return nil, nil
	}
	o := sp.index.most(func(o *owner) int64 { return o.output })
	if o == nil {
		return nil, nil
	}
	if e := o.oldestEnded(func(e *entry) bool { return e.output > 0 }); e != nil {
		return e, nil
	}
	for _, s := range sp.open {
		if s.entry.owner == o && (running == nil || s.entry.output > running.entry.output) {
			running = s
		}
	}
	return nil, running
}

// removeOutput removes the output file of a session that has ended. The record stays.
func (sp *Spool) removeOutput(e *entry) error {
	sp.files.forget(e.key)
	if err := sp.disk.Remove(sp.outputPath(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sp.update(e, func(e *entry) { e.output = 0 })
	return nil
}
