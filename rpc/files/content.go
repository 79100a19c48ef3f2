package files

import (
	"io"
	"os"
)

// readFile reads a file, of which nothing is known but that it has size bytes at first: it may grow, and
// those of /proc have size 0.
func (t *task) readFile(p Path) ([]byte, error) {
	f, err := t.open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, failure(p.Name, err)
	}
	limit := t.pool.o.MaxReadBytes
	if info.Size() > limit {
		return nil, tooLarge(p.Name, "at most %d bytes are read at once, and it has %d", limit, info.Size())
	}
	data, err := t.readAll(f, info.Size(), limit)
	return data, of(p.Name, failure("", err))
}

// readAll reads a file to its end, at most limit bytes. While it runs, what it allocates counts for
// MaxReadMemory. It waits for memory only at first: whoever has some must not wait for others.
func (t *task) readAll(f *os.File, size, limit int64) ([]byte, error) {
	share := t.pool.use(t.principal)
	defer t.pool.drop(t.principal)
	held := min(max(size+1, 4096), limit+1)
	if err := share.memory.Acquire(t.ctx, held); err != nil {
		return nil, t.check()
	}
	defer func() { share.memory.Release(held) }()
	if err := t.pool.memory.Acquire(t.ctx, held); err != nil {
		return nil, t.check()
	}
	defer func() { t.pool.memory.Release(held) }()
	data := make([]byte, 0, held)
	grow := func() error {
		more := min(2*held, limit+1) - held
		if !share.memory.TryAcquire(more) {
			return errNoMemory
		}
		if !t.pool.memory.TryAcquire(more) {
			share.memory.Release(more)
			return errNoMemory
		}
		held += more
		data = append(make([]byte, 0, held), data...)
		return nil
	}
	for {
		if err := t.check(); err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			if int64(len(data)) > limit {
				return nil, tooLarge("", "at most %d bytes are read at once", limit)
			}
			if err := grow(); err != nil {
				return nil, err
			}
		}
		t.pool.o.hook("read", "")
		n, err := f.Read(data[len(data):min(cap(data), len(data)+copyBytes)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF && int64(len(data)) > limit:
			return nil, tooLarge("", "at most %d bytes are read at once", limit)
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		}
	}
}

var errNoMemory error = &Error{Kind: ErrBusy, Detail: "other files are being read"}

// writeFile replaces the content of a file.
func (t *task) writeFile(p Path, data []byte) error {
	if int64(len(data)) > t.maxFile {
		return fileTooLarge(p.Name, t.maxFile)
	}
	f, err := t.create(p)
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		t.pool.o.hook("write", "")
		var n int
		if n, err = f.Write(data[:min(len(data), copyBytes)]); err == nil {
			data, err = data[n:], t.check()
		}
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return of(p.Name, failure("", err))
}
