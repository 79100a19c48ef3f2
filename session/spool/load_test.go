package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/stream"
)

func TestManySessions(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	const sessions = 10_000
	for i := 0; i < sessions; {
		var entries []journal.Entry
		for range 100 {
			entries = append(entries, testEntries(t, i)...)
			i++
		}
		err := sp.writer.call(func() error {
			_, err := sp.journal.Append(entries)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sp.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	sp = openSpool(t, dir, testOptions())
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("opened in %v, %d bytes of memory", took, int64(after.HeapAlloc)-int64(before.HeapAlloc))
	count, key := 0, int64(0)
	for {
		list, _ := sp.ListBefore(sp.Owners(), key, 100)
		if len(list) == 0 {
			break
		}
		for _, k := range list {
			if key != 0 && k.Key() >= key {
				t.Fatal("not in the order of the keys")
			}
			key = k.Key()
		}
		count += len(list)
	}
	if count != sessions {
		t.Errorf("%d sessions, want %d", count, sessions)
	}
	sp.o.MaxSessions = 1000
	sp.removeSurplus()
	if _, n := sums(sp); n != 990 {
		t.Errorf("%d sessions are left, want 990", n)
	}
}

// testEntries returns the entries of a session that has ended.
func testEntries(t testing.TB, i int) []journal.Entry {
	text, err := json.Marshal(bytes.Repeat([]byte("x"), 500))
	if err != nil {
		t.Fatal(err)
	}
	start, err := json.Marshal(startMeta{
		Owner: fmt.Sprint("owner", i%3), ID: fmt.Sprint(i), Params: make([]byte, 32), Session: text,
	})
	if err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(recordMeta{Ended: time.Now().UnixNano(), Session: text})
	if err != nil {
		t.Fatal(err)
	}
	key := newKey()
	return []journal.Entry{
		{Type: journal.Start, Key: key, Meta: start},
		{Type: journal.Record, Key: key, Meta: record, Blob: bytes.Repeat([]byte("y"), 1000)},
	}
}

// Everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	o := testOptions()
	o.TotalBytes, o.SessionBytes = 4<<20, 1<<20
	sp := openSpool(t, dir, o)
	stop := make(chan struct{})
	var tidy, wg sync.WaitGroup
	tidy.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				sp.kick()
				newest, _ := sp.ListBefore(sp.Owners(), 0, 10)
				list, err := sp.Load(newest, decodeText)
				if err != nil && !errors.Is(err, ErrStalled) {
					t.Error(err)
				}
				for _, l := range list {
					if l != nil {
						_, end := l.Source.Bounds()
						log := stream.OpenLog(stream.LogOptions{Bound: testBound, Save: &stream.SaveOptions{Source: l.Source}}, stream.State{End: end})
						readLog(log, end.Seq)
					}
				}
			}
		}
	})
	for i := range 8 {
		wg.Go(func() {
			for j := range 12 {
				id := fmt.Sprint(i, "-", j)
				f := startFake(t, sp, fmt.Sprint("owner", i%2), id)
				switch j % 4 {
				case 0:
					f.write(700 << 10)
				case 1:
					f.write(100)
				case 2:
					f.s.Discard()
					continue
				case 3:
					f.write(300 << 10)
					f.s.Stop(errors.New("stopped"))
				}
				f.end()
				if k, ok := sp.Find(fmt.Sprint("owner", i%2), id); ok && j%3 == 0 {
					if err := k.Forget(); err != nil && !errors.Is(err, ErrStalled) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	tidy.Wait()
	sp.mu.Lock()
	open := len(sp.open)
	sp.mu.Unlock()
	if open != 0 {
		t.Errorf("%d sessions are open", open)
	}
	if free := sp.window.Free(); free != int(o.WindowBytes>>16) {
		t.Errorf("%d blocks of the window are free", free)
	}
}

// A sync that does not return does not keep sessions from their records, nor Close from its end.
func TestSyncHangs(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	o := testOptions()
	o.Files = faults
	sp := openSpool(t, t.TempDir(), o)
	faults.Hang(disk.Sync)
	f := startFake(t, sp, "o", "s")
	faults.AwaitHanging(1)
	f.write(3 << 20)
	f.end()
	mustKeep(t, sp, f, "o", "s")
	sp.Close()
	faults.Heal()
	waitUnlocked(t, sp.dir)
}

// A read that does not return becomes a gap, and others read on.
func TestReadHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loader
		healed := make(chan struct{})
		var mu sync.Mutex
		var errs []error
		for range maxLoading + 1 {
			l.start(&load{
				read: func() (*stream.Loaded, error) {
					<-healed
					return &stream.Loaded{Release: func() {}}, nil
				},
				done: func(_ *stream.Loaded, err error) {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				},
				next: 7,
			})
		}
		time.Sleep(loadTimeout)
		synctest.Wait()
		if len(errs) != maxLoading+1 {
			t.Fatalf("%d reads were given up", len(errs))
		}
		for _, err := range errs {
			if u, ok := errors.AsType[*stream.UnreadableError](err); !ok || u.Next != 7 || !errors.Is(err, ErrStalled) {
				t.Error(err)
			}
		}
		close(healed)
		l.close()
		l.wg.Wait()
		if l.loaded.Len() != 0 || l.loading != 0 {
			t.Errorf("%d are loaded, %d are loading", l.loaded.Len(), l.loading)
		}
	})
}

// While a file cannot be removed, the storer that does it refuses sessions, which go on without it.
func TestForgetHangs(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	o := testOptions()
	o.Files = faults
	sp := openSpool(t, t.TempDir(), o)
	startFake(t, sp, "o", "ended").end()
	var both [storers]*fake
	for i := 0; both[0] == nil || both[1] == nil; i++ {
		f := startFake(t, sp, "o", fmt.Sprint(i))
		both[f.s.entry.key%storers] = f
	}
	faults.Hang(disk.Remove)
	k, _ := sp.Find("o", "ended")
	forgotten := make(chan error)
	go func() { forgotten <- k.Forget() }()
	faults.AwaitHanging(1)
	if err := <-forgotten; !errors.Is(err, ErrStalled) {
		t.Errorf("forget: %v", err)
	}
	for _, f := range both {
		f.write(3 << 20)
		f.end()
	}
	if err := <-both[0].stopped; !errors.Is(err, ErrStalled) {
		t.Errorf("the session that waits: %v", err)
	}
	if r := readKept(t, sp, "o", both[1].s.entry.id); len(r.text) != len(both[1].written) {
		t.Errorf("the other session: %d bytes", len(r.text))
	}
	if r := readKept(t, sp, "o", both[0].s.entry.id); r.record != `"record"` {
		t.Errorf("the session that waits: record %s", r.record)
	}
	faults.Heal()
}

// A session that is forgotten after a compaction does not come back, also if the server ends before the
// segment is removed.
func TestForgetMoved(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	f := startFake(t, sp, "o", "s")
	f.end()
	k, _ := sp.Find("o", "s")
	if err := sp.writer.call(sp.journal.NewSegment); err != nil {
		t.Fatal(err)
	}
	if err := sp.writer.call(func() error { return sp.rewrite(k.entry) }); err != nil {
		t.Fatal(err)
	}
	mustKeep(t, sp, f, "o", "s")
	if err := k.Forget(); err != nil {
		t.Fatal(err)
	}
	sp.Close()
	sp = openSpool(t, dir, testOptions())
	if _, ok := sp.Find("o", "s"); ok {
		t.Error("the session is back")
	}
}
