package disk

import (
	"io/fs"
	"sync"
)

// Operation is a kind of operation that [Faults] can make fail or hang.
type Operation int

// The operations.
const (
	Open Operation = iota
	Rename
	Remove
	Read // of a file or a directory
	Write
	Truncate
	Sync // of a file or a directory, and DropCache
	Punch
)

// Faults passes operations to other Files, unless it was told to make them fail or hang. It is for
// tests. All methods may be called concurrently.
type Faults struct {
	files Files

	mu      sync.Mutex
	errors  map[Operation]error
	hanging map[Operation]chan struct{} // closed by Heal
	waiting int                         // operations that hang
	changed chan struct{}               // closed when waiting changes
	room    int64                       // bytes that can be written before full; -1 is no limit
	full    error
}

// NewFaults returns files that have no faults yet.
func NewFaults(files Files) *Faults {
	f := &Faults{files: files, changed: make(chan struct{})}
	f.Heal()
	return f
}

// Fail makes an operation fail with an error until Heal is called.
func (f *Faults) Fail(o Operation, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors[o] = err
}

// Limit makes writes fail with an error after n more bytes. The write that exceeds n writes what fits.
func (f *Faults) Limit(n int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room, f.full = n, err
}

// Hang makes an operation block until Heal is called. Then it continues.
func (f *Faults) Hang(o Operation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hanging[o] == nil {
		f.hanging[o] = make(chan struct{})
	}
}

// AwaitHanging returns when n operations hang at the same time.
func (f *Faults) AwaitHanging(n int) {
	for {
		f.mu.Lock()
		waiting, changed := f.waiting, f.changed
		f.mu.Unlock()
		if waiting >= n {
			return
		}
		<-changed
	}
}

// Heal ends all faults.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.hanging {
		close(c)
	}
	f.errors, f.hanging, f.room = map[Operation]error{}, map[Operation]chan struct{}{}, -1
}

// before waits while the operation hangs, and returns its error.
func (f *Faults) before(o Operation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hanging := f.hanging[o]; hanging != nil {
		f.wait(1)
		f.mu.Unlock()
		<-hanging
		f.mu.Lock()
		f.wait(-1)
	}
	return f.errors[o]
}

// wait changes the number of operations that hang.
func (f *Faults) wait(n int) {
	f.waiting += n
	close(f.changed)
	f.changed = make(chan struct{})
}

// take returns how many of n bytes can be written, and the error of the rest.
func (f *Faults) take(n int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room < 0 {
		return n, nil
	}
	fits := int(min(int64(n), f.room))
	f.room -= int64(fits)
	if fits < n {
		return fits, f.full
	}
	return n, nil
}

// OpenFile implements [Files].
func (f *Faults) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	if err := f.before(Open); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	opened, err := f.files.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return faultyFile{opened, f, path, flag&Direct != 0}, nil
}

// Rename implements [Files].
func (f *Faults) Rename(from, to string) error {
	if err := f.before(Rename); err != nil {
		return &fs.PathError{Op: "rename", Path: from, Err: err}
	}
	return f.files.Rename(from, to)
}

// Remove implements [Files].
func (f *Faults) Remove(path string) error {
	if err := f.before(Remove); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return f.files.Remove(path)
}

// ReadDir implements [Files].
func (f *Faults) ReadDir(path string) ([]fs.DirEntry, error) {
	if err := f.before(Read); err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: err}
	}
	return f.files.ReadDir(path)
}

// SyncDir implements [Files].
func (f *Faults) SyncDir(path string) error {
	if err := f.before(Sync); err != nil {
		return &fs.PathError{Op: "fsync", Path: path, Err: err}
	}
	return f.files.SyncDir(path)
}

// faultyFile is a file of Faults.
type faultyFile struct {
	File
	faults *Faults
	path   string
	direct bool
}

// before is that of Faults, with the path in the error.
func (f faultyFile) before(o Operation, name string) error {
	if err := f.faults.before(o); err != nil {
		return &fs.PathError{Op: name, Path: f.path, Err: err}
	}
	return nil
}

func (f faultyFile) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.before(Read, "read"); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, offset)
}

func (f faultyFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.before(Write, "write"); err != nil {
		return 0, err
	}
	fits, full := f.faults.take(len(b))
	if full == nil {
		return f.File.WriteAt(b, offset)
	}
	n := 0
	if fits -= fits % f.unit(); fits > 0 {
		n, _ = f.File.WriteAt(b[:fits], offset)
	}
	return n, &fs.PathError{Op: "write", Path: f.path, Err: full}
}

// unit is what the length of a write is a multiple of.
func (f faultyFile) unit() int {
	if f.direct {
		return Align
	}
	return 1
}

func (f faultyFile) Truncate(size int64) error {
	if err := f.before(Truncate, "truncate"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f faultyFile) Sync() error {
	if err := f.before(Sync, "fdatasync"); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f faultyFile) DropCache(offset, n int64) error {
	if err := f.before(Sync, "sync_file_range"); err != nil {
		return err
	}
	return f.File.DropCache(offset, n)
}

func (f faultyFile) PunchHole(offset, n int64) error {
	if err := f.before(Punch, "fallocate"); err != nil {
		return err
	}
	return f.File.PunchHole(offset, n)
}
