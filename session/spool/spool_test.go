package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/stream"
)

const testBound = 128 << 10 // of the logs

// testOptions are bounds that no test reaches by accident.
func testOptions() Options {
	return Options{
		SessionBytes: 1 << 30, TotalBytes: 8 << 30, Retain: time.Hour, MaxSessions: 100_000, WindowBytes: 64 << 20,
		Lost: func(_ []byte, end stream.Mark) ([]byte, error) { return []byte(`"lost"`), nil },
		Log:  zerolog.New(io.Discard),
	}
}

func openSpool(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	sp, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sp.Close)
	return sp
}

// fake is a session as package session makes it.
type fake struct {
	s       *Session
	log     *stream.Log
	written []byte
	stopped chan error
}

var (
	keyMu   sync.Mutex
	lastKey int64
)

func newKey() int64 {
	keyMu.Lock()
	defer keyMu.Unlock()
	lastKey = max(lastKey+1, time.Now().UnixNano())
	return lastKey
}

func encodeText(event any) ([]byte, error) { return json.Marshal(event) }

func decodeText(b []byte) (any, error) {
	var text string
	err := json.Unmarshal(b, &text)
	return text, err
}

// newFake returns a session that does not run yet.
func newFake(t testing.TB, sp *Spool, owner, id string) *fake {
	t.Helper()
	f := &fake{s: sp.NewSession(newKey(), owner, id, ""), stopped: make(chan error, 1)}
	if f.s == nil {
		t.Fatal("no session")
	}
	f.log = stream.NewLog(stream.LogOptions{Bound: testBound, Save: f.s.SaveOptions()})
	return f
}

func (f *fake) begin(owner, id string) {
	f.s.Begin(Start{
		Owner: owner, ID: id, Output: true,
		Params:  func() string { return "params of " + id },
		Meta:    func() ([]byte, error) { return []byte(`"start"`), nil },
		Encode:  encodeText,
		Decode:  decodeText,
		Stopped: func(err error) { f.stopped <- err },
	}, f.log.Saver())
}

// startFake returns a session that runs.
func startFake(t testing.TB, sp *Spool, owner, id string) *fake {
	t.Helper()
	f := newFake(t, sp, owner, id)
	f.begin(owner, id)
	if err := f.s.Written(); err != nil {
		t.Fatal(err)
	}
	f.event("started")
	return f
}

func (f *fake) event(text string) { f.log.AppendEvent(func(int64, stream.Counts) any { return text }) }

// write writes n bytes of output.
func (f *fake) write(n int) {
	for n > 0 {
		line := fmt.Appendf(nil, "%d of %d %s\n", len(f.written), f.s.entry.key, bytes.Repeat([]byte("x"), 4000))
		line = line[:min(n, len(line))]
		f.log.Append(stream.Piece{Kind: stream.Stdout, Data: line})
		f.written = append(f.written, line...)
		n -= len(line)
	}
}

// end ends the session, with a record.
func (f *fake) end() { f.s.Complete([]byte(`"record"`)) }

// result is what is kept of a session.
type result struct {
	record string
	text   []byte // output
	gap    int64  // bytes before it that are not kept
	gaps   int
	events []string
}

// readKept reads a session that has ended.
func readKept(t testing.TB, sp *Spool, owner, id string) result {
	t.Helper()
	k, ok := sp.Find(owner, id)
	if !ok {
		t.Fatalf("session %s not found", id)
	}
	list, err := sp.Load([]Kept{k}, decodeText)
	if err != nil || list[0] == nil {
		t.Fatalf("load %s: %v", id, err)
	}
	l := list[0]
	log := stream.OpenLog(stream.LogOptions{Bound: testBound, Save: &stream.SaveOptions{Source: l.Source}}, stream.State{End: l.End})
	r := readLog(log, l.End.Seq)
	r.record = string(l.Record)
	return r
}

// readLog reads a log up to a position.
func readLog(log *stream.Log, end int64) (r result) {
	ready := make(chan struct{}, 1)
	c := log.NewCursor(stream.CursorOptions{Spool: true, Ready: func() {
		select {
		case ready <- struct{}{}:
		default:
		}
	}})
	defer c.Close()
	for at := int64(0); at < end; {
		it, ok := c.Next()
		switch {
		case !ok:
			<-ready
			continue
		case it.Gap:
			r.gap, r.gaps = r.gap+it.Lost, r.gaps+1
		case it.Kind == stream.Event:
			r.events = append(r.events, it.Event.(string))
		default:
			r.text = append(r.text, it.Data...)
		}
		at = it.To
	}
	return r
}

func mustKeep(t testing.TB, sp *Spool, f *fake, owner, id string) {
	t.Helper()
	r := readKept(t, sp, owner, id)
	if r.record != `"record"` || r.gaps != 0 || len(r.events) != 1 || !bytes.Equal(r.text, f.written) {
		t.Fatalf("%s: record %s, %d gaps, events %q, %d bytes of output, want %d", id, r.record, r.gaps, r.events, len(r.text), len(f.written))
	}
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	sizes := map[string]int{"none": 0, "small": 100, "medium": 100 << 10, "large": 3 << 20}
	fakes := map[string]*fake{}
	sp := openSpool(t, dir, testOptions())
	for id, n := range sizes {
		f := startFake(t, sp, "o", id)
		f.write(n)
		f.end()
		fakes[id] = f
		mustKeep(t, sp, f, "o", id)
	}
	sp.Close()
	sp = openSpool(t, dir, testOptions())
	for id, f := range fakes {
		mustKeep(t, sp, f, "o", id)
	}
	k, _ := sp.Find("o", "small")
	if !k.SameParams("params of small") || k.SameParams("others") {
		t.Error("params not compared")
	}
}

// The session's own log, which a client has attached to, reads from the disk also after the end.
func TestLogAfterEnd(t *testing.T) {
	sp := openSpool(t, t.TempDir(), testOptions())
	before := openFiles(t)
	f := startFake(t, sp, "o", "s")
	f.write(3 << 20)
	_, end := f.log.Bounds()
	if r := readLog(f.log, end); r.gaps != 0 || !bytes.HasPrefix(f.written, r.text) {
		t.Fatalf("before the end: %d gaps, %d bytes", r.gaps, len(r.text))
	}
	f.end()
	if n := openFiles(t); n > before+1 { // the journal begins a segment
		t.Errorf("%d files are open after the end, %d before the start", n, before)
	}
	seq, _ := f.log.Next()
	if r := readLog(f.log, seq-1); r.gaps != 0 || !bytes.Equal(f.written, r.text) {
		t.Fatalf("after the end: %d gaps, %d bytes, want %d", r.gaps, len(r.text), len(f.written))
	}
}

func openFiles(t testing.TB) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

func TestSessionBytes(t *testing.T) {
	for _, bound := range []int64{2 << 20, 300 << 10, 10 << 10} {
		o := testOptions()
		o.SessionBytes = bound
		dir := t.TempDir()
		sp := openSpool(t, dir, o)
		f := startFake(t, sp, "o", "s")
		f.write(5 << 20)
		f.end()
		sp.Close()
		sp = openSpool(t, dir, o)
		r := readKept(t, sp, "o", "s")
		if int64(len(r.text))+r.gap != int64(len(f.written)) || !bytes.HasSuffix(f.written, r.text) || r.gaps != 1 {
			t.Errorf("bound %d: %d bytes after %d gaps of %d, of %d", bound, len(r.text), r.gaps, r.gap, len(f.written))
		}
		if bound > 64<<10 && int64(len(r.text)) < bound/2 {
			t.Errorf("bound %d: only %d bytes are kept", bound, len(r.text))
		}
		sp.Close()
	}
}

// A server that is killed leaves the directory as it is at that moment. Everything that was visible is
// recovered, and found by the server after the next, too.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	sizes := []int{1, 5000, 20_000, 45_000, 300_000}
	fakes := make([]*fake, len(sizes))
	for i := range fakes {
		fakes[i] = startFake(t, sp, "o", fmt.Sprint(i))
	}
	var wg sync.WaitGroup
	for i, f := range fakes {
		wg.Go(func() {
			for range 30 {
				f.write(sizes[i])
				time.Sleep(time.Millisecond)
			}
		})
	}
	var copies []string
	var shown [][]int64
	for range 3 {
		time.Sleep(10 * time.Millisecond) // any moment is as good
		var at []int64
		for _, f := range fakes {
			_, end := f.log.Bounds()
			at = append(at, end)
		}
		copied := t.TempDir()
		copyDir(t, dir, copied)
		copies, shown = append(copies, copied), append(shown, at)
	}
	wg.Wait()
	for i, copied := range copies {
		again := t.TempDir()
		openSpool(t, copied, testOptions()).Close()
		copyDir(t, copied, again)
		for _, dir := range []string{copied, again} {
			sp := openSpool(t, dir, testOptions())
			for j, f := range fakes {
				r := readKept(t, sp, "o", fmt.Sprint(j))
				if r.record != `"lost"` || r.gaps != 0 || !bytes.HasPrefix(f.written, r.text) {
					t.Fatalf("copy %d, session %d: record %s, %d gaps, %d bytes", i, j, r.record, r.gaps, len(r.text))
				}
				// An event at position 0 is visible at once.
				if got := int64(len(r.text) + len(r.events)); got < shown[i][j] && shown[i][j] > 1 {
					t.Fatalf("copy %d, session %d: %d recovered, %d was visible", i, j, got, shown[i][j])
				}
			}
			sp.Close()
		}
	}
	for _, f := range fakes {
		f.end()
	}
}

// copyDir copies what a server has at one moment: the window first, since what is moved from it to the
// files would otherwise be in neither.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	copyFile := func(name string) {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(to, outputDir), 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile("window")
	for _, pattern := range []string{"key", "journal-*", outputDir + "/*"} {
		list, err := filepath.Glob(filepath.Join(from, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range list {
			name, _ := filepath.Rel(from, path)
			copyFile(name)
		}
	}
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	startFake(t, sp, "o", "after start").s.Discard()
	f := newFake(t, sp, "o", "before start")
	f.s.Discard()
	f.begin("o", "before start")
	if err := f.s.Written(); !errors.Is(err, ErrRemoved) {
		t.Errorf("discarded before the start: %v", err)
	}
	f = newFake(t, sp, "o", "at the start")
	f.begin("o", "at the start")
	f.s.Discard()
	sp.Close()
	sp = openSpool(t, dir, testOptions())
	if list, _ := sp.ListBefore([]string{"o"}, 0, 10); len(list) != 0 {
		t.Errorf("%d sessions after a restart", len(list))
	}
}

// What is appended before Begin is saved by it.
func TestOutputBeforeBegin(t *testing.T) {
	sp := openSpool(t, t.TempDir(), testOptions())
	f := newFake(t, sp, "o", "s")
	f.event("queued")
	f.write(1000)
	f.begin("o", "s")
	f.end()
	mustKeep(t, sp, f, "o", "s")
}

// Compaction moves entries behind those of newer sessions; nothing changes for the sessions.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	o := testOptions()
	o.TotalBytes = 16 << 20 // short segments
	sp := openSpool(t, dir, o)
	fakes := map[string]*fake{}
	run := startFake(t, sp, "o", "first")
	for i := range 80 {
		id := fmt.Sprint(i)
		f := startFake(t, sp, "o", id)
		f.write(20 << 10)
		f.end()
		if fakes[id] = f; i%8 != 0 {
			k, _ := sp.Find("o", id)
			if err := k.Forget(); err != nil {
				t.Fatal(err)
			}
			delete(fakes, id)
		}
		if i == 10 {
			run.end()
			fakes["first"] = run
		}
	}
	copied := t.TempDir()
	sp.compactJournal(t.Context()) // the janitor may have done it already
	if first := sp.journal.Segments()[0]; first.ID == 1 {
		t.Error("the first segment is not removed")
	}
	copyDir(t, dir, copied)
	check := func(sp *Spool) {
		t.Helper()
		for id, f := range fakes {
			mustKeep(t, sp, f, "o", id)
		}
		list, _ := sp.ListBefore([]string{"o"}, 0, 100)
		for i := range list[1:] {
			if list[i].Key() <= list[i+1].Key() {
				t.Fatal("not in the order of the keys")
			}
		}
		if len(list) != len(fakes) {
			t.Errorf("%d sessions, want %d", len(list), len(fakes))
		}
		sp.mu.Lock()
		defer sp.mu.Unlock()
		sum := map[uint32]int64{}
		for _, e := range sp.index.byKey {
			sum[e.start.Segment] += e.startBytes
			sum[e.record.Segment] += e.recordBytes
		}
		for id, n := range sp.segments {
			if sum[id] != n {
				t.Errorf("segment %d: %d bytes are needed, counted %d", id, sum[id], n)
			}
		}
	}
	check(sp)
	check(openSpool(t, copied, o))
}

// A crash may leave entries twice, and a start behind its record.
func TestScanOrder(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	f := startFake(t, sp, "o", "s")
	f.write(1000)
	f.end()
	k, _ := sp.Find("o", "s")
	e := k.now()
	err := sp.writer.call(func() error {
		start, err := sp.readEntry(journal.Start, e.key, e.start)
		if err != nil {
			return err
		}
		if _, err = sp.journal.Append([]journal.Entry{start}); err != nil {
			return err
		}
		return sp.journal.Erase(e.start)
	})
	if err != nil {
		t.Fatal(err)
	}
	sp.Close()
	sp = openSpool(t, dir, testOptions())
	mustKeep(t, sp, f, "o", "s")
}

func TestFull(t *testing.T) {
	for _, op := range []struct {
		name string
		set  func(*disk.Faults)
	}{
		{"write", func(f *disk.Faults) { f.Limit(0, syscall.ENOSPC) }},
		{"read-only", func(f *disk.Faults) { f.Fail(disk.Write, syscall.EROFS); f.Fail(disk.Open, syscall.EROFS) }},
		{"open", func(f *disk.Faults) { f.Fail(disk.Open, syscall.EIO) }},
	} {
		t.Run(op.name, func(t *testing.T) {
			dir := t.TempDir()
			faults := disk.NewFaults(disk.OS{})
			o := testOptions()
			o.Files = faults
			sp := openSpool(t, dir, o)
			f, small := startFake(t, sp, "o", "s"), startFake(t, sp, "o", "small")
			small.write(100)
			op.set(faults)
			f.write(3 << 20) // does not block
			if err := <-f.stopped; err == nil {
				t.Error("stopped without an error")
			}
			f.end()
			small.end()
			faults.Heal()
			sp.tidyOnce(t.Context(), time.Now())
			sp.Close()
			sp = openSpool(t, dir, testOptions())
			for id, f := range map[string]*fake{"s": f, "small": small} {
				r := readKept(t, sp, "o", id)
				if r.record != `"record"` || !bytes.HasPrefix(f.written, r.text) {
					t.Errorf("%s: record %s, %d bytes", id, r.record, len(r.text))
				}
			}
		})
	}
}

// A session that is stopped in the middle keeps what is in its file.
func TestStopped(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	f := startFake(t, sp, "o", "s")
	f.write(2 << 20)
	f.s.Stop(syscall.EIO)
	f.write(1 << 20)
	f.end()
	sp.Close()
	sp = openSpool(t, dir, testOptions())
	r := readKept(t, sp, "o", "s")
	if r.record != `"record"` || len(r.text) < 1<<20 || r.gaps != 0 || !bytes.HasPrefix(f.written, r.text) {
		t.Errorf("record %s, %d bytes, %d gaps", r.record, len(r.text), r.gaps)
	}
}

// While the disk does not respond, sessions go on; when it does, their records are written.
func TestHang(t *testing.T) {
	dir := t.TempDir()
	faults := disk.NewFaults(disk.OS{})
	o := testOptions()
	o.Files = faults
	sp := openSpool(t, dir, o)
	large, small, failed := startFake(t, sp, "o", "large"), startFake(t, sp, "o", "small"), startFake(t, sp, "o", "failed")
	faults.Hang(disk.Write)
	begun := newFake(t, sp, "o", "begun")
	begun.begin("o", "begun")
	faults.AwaitHanging(1)
	large.write(3 << 20)
	small.write(100)
	if err := begun.s.Written(); !errors.Is(err, ErrStalled) {
		t.Errorf("start of a session: %v", err)
	}
	if sp.NewSession(newKey(), "o", "new", "") != nil {
		t.Error("a session begins with the spool while the disk does not respond")
	}
	large.end()
	small.end()
	failed.s.Discard()
	begun.end()
	sp.Close() // does not wait longer than closeTimeout
	faults.Heal()
	<-sp.writer.done
	sp.wg.Wait()
	waitUnlocked(t, dir)
	sp = openSpool(t, dir, testOptions())
	for _, id := range []string{"large", "small"} {
		if r := readKept(t, sp, "o", id); r.record != `"record"` {
			t.Errorf("%s: record %s", id, r.record)
		}
	}
	if list, _ := sp.ListBefore([]string{"o"}, 0, 10); len(list) != 2 {
		t.Errorf("%d sessions after a restart, want 2", len(list))
	}
}

// waitUnlocked waits until the last server has closed its files.
func waitUnlocked(t testing.TB, dir string) {
	for {
		unlock, err := lock(filepath.Join(dir, "lock"))
		if err == nil {
			unlock()
			return
		}
		if !errors.Is(err, ErrInUse) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	sp := openSpool(t, dir, testOptions())
	secret := []byte("cOmMon sEcRet")
	for _, n := range []int{0, 3 << 20} {
		f := startFake(t, sp, "o", fmt.Sprint(n))
		f.write(n)
		f.log.Append(stream.Piece{Kind: stream.Stdout, Data: secret})
		f.end()
		k, _ := sp.Find("o", fmt.Sprint(n))
		if err := k.Forget(); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, secret) {
			t.Errorf("%s still has the output", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sums returns what a spool has in total.
func sums(sp *Spool) (output int64, sessions int) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.output, len(sp.index.byKey)
}

func TestTotal(t *testing.T) {
	o := testOptions()
	o.TotalBytes = 8 << 20
	sp := openSpool(t, t.TempDir(), o)
	for i := range 8 {
		for _, owner := range []string{"greedy", "modest"} {
			if owner == "modest" && i > 0 {
				continue
			}
			f := startFake(t, sp, owner, fmt.Sprint(i))
			f.write(2 << 20)
			f.end()
		}
	}
	if r := readKept(t, sp, "modest", "0"); r.gaps != 0 || len(r.text) != 2<<20 {
		t.Errorf("modest: %d gaps, %d bytes", r.gaps, len(r.text))
	}
	if r := readKept(t, sp, "greedy", "0"); r.gap != 2<<20 {
		t.Errorf("the oldest session has %d bytes", len(r.text))
	}
	if n, _ := sums(sp); n > o.TotalBytes {
		t.Errorf("%d bytes of output", n)
	}
	sp.tidyOnce(t.Context(), time.Now().Add(compressAfter+time.Minute))
	if r := readKept(t, sp, "modest", "0"); r.gaps != 0 || len(r.text) != 2<<20 {
		t.Errorf("compressed: %d gaps, %d bytes", r.gaps, len(r.text))
	}
	sp.tidyOnce(t.Context(), time.Now().Add(2*o.Retain))
	if output, sessions := sums(sp); sessions != 0 || output != 0 {
		t.Errorf("%d sessions, %d bytes are left after their time", sessions, output)
	}
	if list, _ := os.ReadDir(filepath.Join(sp.dir, outputDir)); len(list) != 0 {
		t.Errorf("%d files are left", len(list))
	}
}
