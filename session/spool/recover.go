package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/journal"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/session/spool/paramhash"
	"github.com/runnel-rpc/runnel/session/spool/window"
)

// Open opens the spool in a directory, which it makes if it does not exist. Sessions that ran when the
// last server ended get a record that says so. What is damaged, and files that are not those of a
// spool, are reported in the log and skipped. The caller calls Close.
func Open(dir string, o Options) (_ *Spool, err error) {
	if o.Files == nil {
		o.Files = disk.OS{}
	}
	sp := &Spool{
		dir: dir, o: o, disk: o.Files, index: newIndex(), segments: make(map[uint32]int64),
		open: make(map[int64]*Session), untidy: make(chan struct{}, 1), reading: make(chan struct{}, maxReading),
		directWithin: maxDirectWithin, remover: newRemover(o.Files),
	}
	sp.files = newFileCache(sp)
	sp.small = block.NewBuilder(block.MaxBytes)
	for _, d := range []string{dir, filepath.Join(dir, outputDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if err := makePrivate(dir); err != nil {
		return nil, err
	}
	if sp.unlock, err = lock(filepath.Join(dir, lockFile)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			sp.closeFiles()
		}
	}()
	if sp.hash, err = paramhash.Open(filepath.Join(dir, keyFile), o.Files); err != nil {
		return nil, err
	}
	if sp.journal, err = journal.Open(dir, o.Files, journal.Options{SegmentBytes: o.segmentBytes()}); err != nil {
		return nil, err
	}
	if err = sp.readJournal(); err != nil {
		return nil, err
	}
	if err = sp.reportForeign(); err != nil {
		return nil, err
	}
	if err = sp.readOutputDir(); err != nil {
		return nil, err
	}
	if err = sp.recoverWindow(); err != nil {
		return nil, err
	}
	sp.boundByFree()
	sp.start()
	return sp, nil
}

const (
	// minSegmentBytes bounds the length of a segment of the journal from below.
	minSegmentBytes = 64 << 10
	// segmentShare divides the bound of the journal: only whole segments are removed.
	segmentShare = 8
)

// segmentBytes returns the length of a segment of the journal.
func (o *Options) segmentBytes() int64 {
	total := o.TotalBytes
	if o.FreeBytes > 0 {
		total = min(total, o.FreeBytes/freeShare)
	}
	return max(min(total/journalShare/segmentShare, journal.DefaultSegmentBytes), minSegmentBytes)
}

// makePrivate removes the permissions of others from the directory of a spool. The directory may be one that
// was made for it, but not one that has something else: that may have other uses.
func makePrivate(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	named := func(name string) bool {
		return slices.ContainsFunc(list, func(d fs.DirEntry) bool { return d.Name() == name })
	}
	empty := len(list) == 0 || len(list) == 1 && named(outputDir) // Open has made that one
	if !empty && !named(keyFile) {
		return fmt.Errorf("%s: mode is %04o, and it has other files: a spool needs a directory of its own", dir, info.Mode().Perm())
	}
	return os.Chmod(dir, 0o700)
}

// freeShare divides the free space: the spool takes at most that part of it.
const freeShare = 10

// boundByFree lowers the bound of all sessions to what may be used of the free space.
func (sp *Spool) boundByFree() {
	if sp.o.FreeBytes > 0 {
		sp.o.TotalBytes = min(sp.o.TotalBytes, (sp.output+sp.journal.Bytes()+sp.o.FreeBytes)/freeShare)
	}
	sp.o.SessionBytes = min(sp.o.SessionBytes, sp.o.TotalBytes)
}

// start starts the goroutines.
func (sp *Spool) start() {
	var memory []byte
	memory, sp.freeMemory = disk.NewMemory()
	sp.writer = newWorker(0, sp.write, (*Session).stalled)
	size := block.Padded(int(max(min(sp.o.SessionBytes/blockShare, block.MaxBytes), minBlockBytes)))
	for i := range storers {
		b := newBlocks(memory[i*storedAtOnce*block.MaxBytes:][:storedAtOnce*block.MaxBytes], size)
		sp.storers = append(sp.storers, newWorker(1, sp.storeAll(b), (*Session).stalled))
	}
	ctx, cancel := context.WithCancel(context.Background())
	sp.cancel = cancel
	sp.wg.Go(func() { sp.sync(ctx) })
	sp.wg.Go(func() { sp.tidy(ctx) })
	sp.wg.Go(func() { sp.remover.run(ctx) })
}

const (
	// storers is how many goroutines write output files. The memory for their blocks is disk.MemoryBytes.
	storers = 2
	// blockShare divides Options.SessionBytes: only whole blocks are removed.
	blockShare = 4
	// minBlockBytes bounds the length of a full block of an output file from below.
	minBlockBytes = 64 << 10
)

// closeTimeout is how long Close waits for the disk.
const closeTimeout = 2 * stallAfter

// Close ends the use of the spool. No session may be open. If the disk does not respond, Close returns
// after closeTimeout, and the files are closed later, if ever.
func (sp *Spool) Close() {
	if sp == nil {
		return
	}
	sp.cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for _, w := range sp.storers {
			w.close()
			<-w.done
		}
		sp.writer.close()
		<-sp.writer.done
		sp.loader.close()
		sp.loader.wg.Wait()
		sp.wg.Wait()
		sp.closeFiles()
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// closeFiles closes what Open has opened.
func (sp *Spool) closeFiles() {
	sp.files.close()
	if sp.window != nil {
		_ = sp.window.Close()
	}
	if sp.journal != nil {
		_ = sp.journal.Close()
	}
	if sp.freeMemory != nil {
		sp.freeMemory()
	}
	sp.unlock()
}

// readJournal fills the index.
func (sp *Spool) readJournal() error {
	r := journalReader{spool: sp, records: make(map[int64]foundRecord)}
	report, err := sp.journal.Scan(r.visit)
	if err != nil {
		return err
	}
	sp.logReport(report)
	sp.index.sort()
	limit := time.Now().Add(-sp.o.Retain).UnixNano()
	expired := sp.index.where(func(e *entry) bool { return e.ended != 0 && e.ended <= limit })
	for _, e := range expired { // their files are removed by readOutputDir
		sp.drop(e)
		if e.start.Segment > e.record.Segment { // or it would outlive the record, as that of a session that runs
			r.old = append(r.old, e.start)
		}
	}
	for _, at := range r.old {
		if err := sp.journal.Erase(at); err != nil {
			sp.warn(err, "entry of the journal not erased")
		}
	}
	return nil
}

// journalReader fills the index from the entries of the journal. Of two entries for the same, as a
// compaction that was interrupted leaves them, the newer counts. A start may be after its record.
type journalReader struct {
	spool   *Spool
	records map[int64]foundRecord // without a start
	old     []journal.Position    // of entries that are not needed
}

// foundRecord is what the journal has of a record.
type foundRecord struct {
	at    journal.Position
	bytes int64
	blob  int // bytes of output
	ended int64
}

// visit takes an entry.
func (r *journalReader) visit(at journal.Position, t journal.Type, key int64, meta []byte, blob int) error {
	size := journal.Size(len(meta), blob)
	switch t {
	case journal.Start:
		m, err := parseStart(meta)
		if err != nil || len(m.Params) != len(entry{}.params) {
			r.spool.o.Log.Warn().Int64("key", key).Msg("start in the journal skipped: not valid")
			return nil
		}
		r.start(at, size, key, &m)
	case journal.Record:
		m, err := parseRecord(meta)
		if err != nil {
			r.spool.o.Log.Warn().Int64("key", key).Msg("record in the journal skipped: not valid")
			return nil
		}
		r.record(key, foundRecord{at, size, blob, m.Ended})
	case journal.Removed:
		delete(r.records, key)
		if e := r.spool.index.byKey[key]; e != nil {
			r.spool.drop(e)
		}
	}
	return nil
}

func (r *journalReader) start(at journal.Position, size, key int64, m *startMeta) {
	x := &r.spool.index
	e := x.byKey[key]
	if e == nil {
		e = &entry{key: key, id: m.ID, name: m.Name, params: [32]byte(m.Params)}
		x.add(e, m.Owner)
	}
	if e.startBytes > 0 {
		r.old = append(r.old, e.start)
	}
	r.spool.update(e, func(e *entry) { e.start, e.startBytes = at, size })
	if f, ok := r.records[key]; ok {
		delete(r.records, key)
		r.record(key, f)
	}
}

func (r *journalReader) record(key int64, f foundRecord) {
	e := r.spool.index.byKey[key]
	if e == nil {
		r.records[key] = f // the start follows, or was erased
		return
	}
	if e.recordBytes > 0 {
		r.old = append(r.old, e.record)
	}
	r.spool.update(e, func(e *entry) { e.setRecord(f.at, f.bytes, f.blob, f.ended) })
}

// logReport logs what is damaged in the journal.
func (sp *Spool) logReport(r *journal.Report) {
	for _, d := range r.Damage {
		sp.o.Log.Warn().Err(d.Err).Uint32("segment", d.Segment).Int64("offset", d.Offset).Int64("bytes", d.Bytes).Msg("part of the journal skipped: not readable")
	}
	for _, name := range r.Foreign {
		sp.o.Log.Warn().Str("file", filepath.Join(sp.dir, name)).Msg("not a file of the spool: skipped")
	}
	if r.Omitted > 0 {
		sp.o.Log.Warn().Int("count", r.Omitted).Msg("more of the journal skipped")
	}
}

// maxForeign is how many foreign files in the directory itself are reported by name.
const maxForeign = 100

// reportForeign logs what is in the directory and is not a file of the spool. Of files whose name begins like
// that of the journal, the journal knows.
func (sp *Spool) reportForeign() error {
	list, err := sp.disk.ReadDir(sp.dir)
	if err != nil {
		return err
	}
	foreign := 0
	for _, d := range list {
		name := d.Name()
		if slices.Contains([]string{lockFile, windowFile, keyFile, outputDir}, name) || strings.HasPrefix(name, journal.Prefix) {
			continue
		}
		if foreign++; foreign <= maxForeign {
			sp.o.Log.Warn().Str("file", filepath.Join(sp.dir, name)).Msg("not a file of the spool: skipped")
		}
	}
	if foreign > maxForeign {
		sp.o.Log.Warn().Int("count", foreign-maxForeign).Msg("more files that are not of the spool: skipped")
	}
	return nil
}

// readOutputDir notes the sizes of the output files, and removes those of sessions that are not kept.
func (sp *Spool) readOutputDir() error {
	dir := filepath.Join(sp.dir, outputDir)
	list, err := sp.disk.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		path := filepath.Join(dir, d.Name())
		hex, rest, _ := strings.Cut(d.Name(), "-")
		key, err := strconv.ParseInt(hex, 16, 64)
		if err != nil || len(hex) != 16 || !d.Type().IsRegular() {
			sp.o.Log.Warn().Str("file", path).Msg("not a file of the spool: skipped")
			continue
		}
		e := sp.index.byKey[key]
		if e == nil || rest != e.id+".log" {
			sp.removeOrphan(path, key)
			continue
		}
		info, err := d.Info()
		if err != nil {
			sp.o.Log.Warn().Err(err).Str("file", path).Msg("skipped")
			continue
		}
		sp.update(e, func(e *entry) { e.output = allocated(info) })
	}
	return nil
}

// removeOrphan removes the output file of a session that is not kept, or a file that compression has left,
// but none that is not an output file.
func (sp *Spool) removeOrphan(path string, key int64) {
	f, err := outputfile.Open(sp.disk, path)
	if err == nil {
		if f.Key() != key && f.Key() != 0 { // 0: it has no content
			err = errors.New("not a file of the spool")
		}
		_ = f.Close()
	}
	if err == nil {
		err = sp.disk.Remove(path)
	}
	if err != nil {
		sp.o.Log.Warn().Err(err).Str("file", path).Msg("skipped")
	}
}

// recoverWindow makes a record for each session that ran when the last server ended, and moves its newest
// output from the window to where that of ended sessions is.
func (sp *Spool) recoverWindow() error {
	w, parts, err := window.Open(sp.disk, filepath.Join(sp.dir, windowFile), int(sp.o.WindowBytes/window.BlockBytes))
	if err != nil {
		return err
	}
	sp.window = w
	if n := w.Damaged(); n > 0 {
		sp.o.Log.Warn().Int("blocks", n).Msg("blocks of the window skipped: not readable")
	}
	byKey := make(map[int64]*window.Recovered, len(parts))
	for _, p := range parts {
		byKey[p.Key] = p
	}
	failed := false
	for _, e := range sp.index.where(func(e *entry) bool { return e.ended == 0 }) {
		if err := sp.recoverSession(e, byKey[e.key]); err != nil {
			failed = true
			sp.o.Log.Warn().Err(err).Str("session", e.id).Msg("session not recovered")
		}
	}
	if failed { // the next server may recover it, so its blocks of the window are not used
		return nil
	}
	return w.Reset()
}

// recoverSession writes the record of a session that ran when the last server ended.
func (sp *Spool) recoverSession(e *entry, part *window.Recovered) error {
	text, err := sp.journal.ReadMeta(e.start)
	if err != nil {
		return err
	}
	start, err := parseStart(text)
	if err != nil {
		return err
	}
	r := recovery{spool: sp, entry: e, block: sp.small}
	if err := r.output(part); err != nil { // what was recovered before is kept
		sp.o.Log.Warn().Err(err).Str("session", e.id).Msg("output not recovered completely")
	}
	record := recordMeta{Ended: time.Now().UnixNano(), Oldest: r.oldest, End: r.end, InJournal: r.blob != nil}
	if record.Session, err = sp.o.Lost(start.Session, record.End); err != nil {
		return err
	}
	meta, err := JSON(record)
	if err != nil {
		return err
	}
	at, err := sp.journal.Append([]journal.Entry{{Type: journal.Record, Key: e.key, Meta: meta, Blob: r.blob}})
	if err != nil {
		return err
	}
	size := journal.Size(len(meta), len(r.blob))
	sp.update(e, func(e *entry) { e.setRecord(at[0], size, len(r.blob), record.Ended) })
	return nil
}

// allocated returns how many bytes of the disk a file takes.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}
