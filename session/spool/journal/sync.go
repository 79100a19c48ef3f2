package journal

import (
	"errors"
	"fmt"
	"os"
)

// Sync waits until everything that was appended, erased or removed before the call is on the disk
// (fdatasync, on Darwin F_FULLFSYNC), the directory included.
//
// After an error it is not known what of that is on the disk, and a later nil does not tell either:
// the kernel may have dropped it. Later entries go to a new segment then.
func (j *Journal) Sync() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	var changed []*segment
	for _, s := range j.segments {
		if s.changed != s.synced {
			changed = append(changed, s)
		}
	}
	erasures := j.erasures
	j.erasures = nil
	dir := j.dirChanged
	j.mu.Unlock()

	var errs []error
	failed := map[*segment]bool{}
	for _, s := range changed {
		if err := j.syncSegment(s); err != nil {
			errs = append(errs, fmt.Errorf("journal: sync %s: %w", segmentName(s.id), err))
			failed[s] = true
		}
	}
	j.settle(erasures, failed)
	if err := j.syncDir(dir); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (j *Journal) syncSegment(s *segment) error {
	j.mu.Lock()
	to := s.changed
	j.mu.Unlock()
	f, err := j.acquire(s, os.O_RDWR)
	if errors.Is(err, ErrNotFound) {
		return nil // removed meanwhile
	}
	if err == nil {
		err = f.Sync()
		j.release(f)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.retire = j.retire || s == j.current
		return err
	}
	s.synced = max(s.synced, to)
	return nil
}

// settle finishes erasures. Those of a segment whose sync failed wait for the next Sync.
func (j *Journal) settle(erasures []erasure, failed map[*segment]bool) {
	var again []erasure
	for _, e := range erasures {
		if failed[e.segment] {
			again = append(again, e)
			continue
		}
		j.finish(e)
	}
	if again == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.erasures = append(again, j.erasures...)
	j.erasures = j.erasures[:min(len(j.erasures), maxErasures)] // others are finished by the next Scan
}

func (j *Journal) syncDir(to uint64) error {
	j.mu.Lock()
	done := j.dirSynced >= to
	j.mu.Unlock()
	if done {
		return nil
	}
	if err := j.files.SyncDir(j.dir); err != nil {
		return fmt.Errorf("journal: sync %s: %w", j.dir, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dirSynced = max(j.dirSynced, to)
	return nil
}
