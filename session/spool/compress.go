package spool

import (
	"context"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/outputfile"
)

// compressAfter is how long a session has ended before its output is compressed: it may be read until
// then, and many sessions are removed soon.
const compressAfter = 10 * time.Minute

// compressEnded compresses the output files of sessions that have ended, one after the other.
func (sp *Spool) compressEnded(ctx context.Context, now time.Time) {
	limit := now.Add(-compressAfter).UnixNano()
	sp.mu.Lock()
	list := sp.index.where(func(e *entry) bool {
		return !e.open && !e.compressed && e.output > 0 && e.ended != 0 && e.ended <= limit
	})
	sp.mu.Unlock()
	for _, e := range list {
		if ctx.Err() != nil {
			return
		}
		if err := sp.compress(e); err != nil {
			sp.warn(err, "output not compressed")
		}
	}
}

// compress compresses the output file of a session. It does not try again.
func (sp *Spool) compress(e *entry) error {
	sp.update(e, func(e *entry) { e.busy, e.compressed = true, true })
	bytes, err := outputfile.Compress(sp.disk, sp.outputPath(e))
	sp.files.forget(e.key)
	gone := true
	sp.update(e, func(e *entry) {
		gone, e.busy = false, false
		if err == nil {
			e.output = bytes
		}
	})
	if !gone {
		return err
	}
	return sp.removeOutput(e) // it was removed meanwhile, but the file is there again
}
