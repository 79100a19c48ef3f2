package journal

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// TestConcurrent reads, erases, syncs and removes while entries are appended to many segments.
func TestConcurrent(t *testing.T) {
	const entries = 2000
	j, dir := begun(t, disk.OS{}, Options{SegmentBytes: 16 << 10})
	appended := make(chan found, entries)
	var wg sync.WaitGroup
	var mu sync.Mutex
	removed := map[uint32]bool{}
	gone := map[Position]bool{}
	for reader := range 3 {
		wg.Go(func() {
			for f := range appended {
				meta, err := j.ReadMeta(f.At)
				blob, err2 := j.ReadBlob(f.At)
				mu.Lock()
				missing := removed[f.At.Segment]
				mu.Unlock()
				switch {
				case missing && (errors.Is(err, ErrNotFound) || errors.Is(err2, ErrNotFound)):
				case err != nil || err2 != nil || !bytes.Equal(meta, f.Meta) || !bytes.Equal(blob, f.Blob):
					t.Errorf("%v: %v, %v", f.At, err, err2)
				}
				if reader == 0 && f.Key%5 == 0 && !missing {
					if err := j.Erase(f.At); err != nil && !errors.Is(err, ErrNotFound) {
						t.Errorf("erase %v: %v", f.At, err)
					}
					mu.Lock()
					gone[f.At] = true
					mu.Unlock()
				}
			}
		})
	}
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := j.Sync(); err != nil {
				t.Errorf("sync: %v", err)
			}
		}
	})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if all := j.Segments(); len(all) > 8 {
				mu.Lock()
				removed[all[0].ID] = true
				mu.Unlock()
				if err := j.Remove(all[0].ID); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		}
	})
	var want []found
	for key := range int64(entries) {
		f := appendTo(t, j, entry(key))[0]
		want = append(want, f)
		appended <- f
	}
	close(appended)
	close(done)
	wg.Wait()
	_, got, r := reopen(t, dir)
	clean(t, r)
	var left []found
	for _, f := range want {
		if !removed[f.At.Segment] && !gone[f.At] {
			left = append(left, f)
		}
	}
	equal(t, got, left)
}

// TestEraseWhileReading checks that a reader gets the content or ErrErased, never a mixture.
func TestEraseWhileReading(t *testing.T) {
	j, _ := begun(t, disk.OS{}, Options{})
	for range 50 {
		e := Entry{Type: Record, Meta: bytes.Repeat([]byte{'m'}, 300<<10), Blob: bytes.Repeat([]byte{'b'}, 300<<10)}
		at := appendTo(t, j, e)[0].At
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					b, err := j.ReadBlob(at)
					if errors.Is(err, ErrErased) {
						return
					}
					if err != nil || !bytes.Equal(b, e.Blob) {
						t.Errorf("%d bytes, %v", len(b), err)
						return
					}
				}
			})
		}
		if err := j.Erase(at); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

// TestStuck checks that a write that hangs does not block the calls that only need the memory, nor
// reads.
func TestStuck(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, _ := begun(t, faults, Options{})
	first := appendTo(t, j, entry(1))[0]
	faults.Hang(disk.Write)
	done := make(chan error)
	go func() {
		_, err := j.Append([]Entry{entry(2)})
		done <- err
	}()
	faults.AwaitHanging(1)
	if n := len(j.Segments()); n != 1 {
		t.Errorf("%d segments", n)
	}
	if meta, err := j.ReadMeta(first.At); err != nil || !bytes.Equal(meta, first.Meta) {
		t.Errorf("%q, %v", meta, err)
	}
	faults.Heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
