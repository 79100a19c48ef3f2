package files

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"
)

// Mode is what a handle is opened for.
type Mode int

// The modes.
const (
	// ForReading opens a file for ReadBlock.
	ForReading Mode = iota
	// ForReplacing truncates a file, or makes it, and opens it for WriteBlock.
	ForReplacing
)

// Block is a part of a file.
type Block struct {
	Data []byte
	EOF  bool // there were fewer bytes than asked for
}

// handle is an open file of an owner. A nil *handle in Owner.handles is one that is being opened.
type handle struct {
	file      *os.File
	mode      Mode
	principal string
	maxFile   int64 // see Access.MaxFileBytes
	closed    atomic.Bool
}

// Open opens a regular file under an id that the caller chooses, of at most MaxHandleIDBytes bytes. The
// handle keeps the file, whatever happens to its path, and the rights with which it was opened, until
// Close, Owner.Close, or an error of the system in ReadBlock or WriteBlock.
func (o *Owner) Open(ctx context.Context, a *Access, id string, p Path, mode Mode) error {
	if err := o.reserve(id); err != nil {
		return named("Open", "", err)
	}
	f, err := run(ctx, o, "Open", o.pool.o.Timeout, a, []Path{p}, func(t *task) (*os.File, error) {
		if mode == ForReplacing {
			return t.create(p)
		}
		return t.open(p)
	}, func(f *os.File) { _ = f.Close() })
	if err != nil {
		o.unreserve(id)
		return err
	}
	h := &handle{file: f, mode: mode, principal: o.principal, maxFile: a.maxFileBytes()}
	o.mu.Lock()
	if !o.closed {
		o.handles[id] = h
		o.mu.Unlock()
		return nil
	}
	o.mu.Unlock()
	o.pool.closeHandles([]*handle{h})
	return &Error{Op: "Open", Kind: ErrClosed}
}

// reserve takes an id, and a place of the owner and of the pool.
func (o *Owner) reserve(id string) error {
	if len(id) > MaxHandleIDBytes {
		return tooLarge("", "the id of a handle must have at most %d bytes", MaxHandleIDBytes)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return &Error{Kind: ErrClosed}
	}
	if _, ok := o.handles[id]; ok {
		return &Error{Kind: ErrHandleExists, Detail: fmt.Sprintf("%q", id)}
	}
	if limit := o.pool.o.MaxHandlesOfOwner; len(o.handles) >= limit {
		return tooLarge("", "at most %d handles may be open", limit)
	}
	if err := o.pool.takeHandle(o.principal); err != nil {
		return err
	}
	o.handles[id] = nil
	return nil
}

// takeHandle takes a place for a handle of a principal.
func (p *Pool) takeHandle(principal string) error {
	s := p.use(principal)
	if !s.handles.TryAcquire(1) {
		p.drop(principal)
		return &Error{Kind: ErrBusy, Detail: "the principal has too many open handles"}
	}
	if !p.handles.TryAcquire(1) {
		s.handles.Release(1)
		p.drop(principal)
		return &Error{Kind: ErrBusy, Detail: fmt.Sprintf("all callers together may have at most %d open handles", p.o.MaxHandles)}
	}
	return nil
}

// giveHandle gives a place back.
func (p *Pool) giveHandle(principal string) {
	p.use(principal).handles.Release(1)
	p.handles.Release(1)
	p.drop(principal)
	p.drop(principal) // what takeHandle has used
}

// unreserve gives back what reserve has taken.
func (o *Owner) unreserve(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.handles, id)
	o.pool.giveHandle(o.principal)
}

// handle returns an open handle.
func (o *Owner) handle(id string, mode Mode) (*handle, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.handles[id]
	switch {
	case o.closed:
		return nil, &Error{Kind: ErrClosed}
	case h == nil && len(id) > MaxHandleIDBytes:
		return nil, &Error{Kind: ErrUnknownHandle}
	case h == nil:
		return nil, &Error{Kind: ErrUnknownHandle, Detail: fmt.Sprintf("%q", id)}
	case h.mode != mode:
		return nil, &Error{Kind: ErrHandleMode, Detail: fmt.Sprintf("%q", id)}
	}
	return h, nil
}

// ReadBlock reads 1 to MaxBlockBytes bytes at an offset. At the end of the file it returns what is
// there.
func (o *Owner) ReadBlock(ctx context.Context, id string, offset int64, length int) (Block, error) {
	h, err := o.handle(id, ForReading)
	if err == nil && (length < 1 || length > MaxBlockBytes || offset < 0 || offset > math.MaxInt64-int64(length)) {
		err = &Error{Kind: ErrInvalid, Detail: fmt.Sprintf("the length must be from 1 to %d bytes, and the offset at least 0", MaxBlockBytes)}
	}
	if err != nil {
		return Block{}, named("ReadBlock", "", err)
	}
	block, err := do(ctx, o.pool, o.principal, o.pool.o.Timeout, func(context.Context) (Block, error) {
		o.pool.o.hook("read", "")
		data := make([]byte, length)
		n, err := h.file.ReadAt(data, offset)
		if err != nil && err != io.EOF {
			return Block{}, o.broken(id, h, err)
		}
		return Block{Data: data[:n], EOF: n < length}, nil
	}, nil)
	return block, namedOrNil("ReadBlock", err)
}

// WriteBlock writes 1 to MaxBlockBytes bytes at an offset. A gap before them is filled with zeros. The
// caller must not change data afterwards: after ErrTimeout it may still be written.
func (o *Owner) WriteBlock(ctx context.Context, id string, offset int64, data []byte) error {
	h, err := o.handle(id, ForReplacing)
	if err == nil && (len(data) < 1 || len(data) > MaxBlockBytes || offset < 0 || offset > math.MaxInt64-int64(len(data))) {
		err = &Error{Kind: ErrInvalid, Detail: fmt.Sprintf("the length must be from 1 to %d bytes, and the offset at least 0", MaxBlockBytes)}
	}
	if err == nil && offset+int64(len(data)) > h.maxFile {
		err = fileTooLarge("", h.maxFile)
	}
	if err != nil {
		return named("WriteBlock", "", err)
	}
	_, err = do(ctx, o.pool, o.principal, o.pool.o.Timeout, func(context.Context) (struct{}, error) {
		o.pool.o.hook("write", "")
		if _, err := h.file.WriteAt(data, offset); err != nil {
			return struct{}{}, o.broken(id, h, err)
		}
		return struct{}{}, nil
	}, nil)
	return namedOrNil("WriteBlock", err)
}

// broken closes a handle after an error of the system, which it returns as an *Error.
func (o *Owner) broken(id string, h *handle, err error) error {
	o.mu.Lock()
	if o.handles[id] == h {
		delete(o.handles, id)
	}
	o.mu.Unlock()
	o.pool.closeHandles([]*handle{h})
	return failure("", err)
}

// CloseHandle closes a handle. It is no error if there is none.
func (o *Owner) CloseHandle(id string) {
	o.mu.Lock()
	h := o.handles[id]
	if h != nil {
		delete(o.handles, id)
	}
	o.mu.Unlock()
	if h != nil {
		o.pool.closeHandles([]*handle{h})
	}
}

// closeHandles closes files in a goroutine of the pool, since close(2) may wait for a file system, and
// gives back their places once they are closed. A handle that is closed twice is closed once.
func (p *Pool) closeHandles(handles []*handle) {
	if len(handles) == 0 {
		return
	}
	closeAll := func() {
		for _, h := range handles {
			if h.closed.CompareAndSwap(false, true) {
				_ = h.file.Close()
				p.giveHandle(h.principal)
			}
		}
	}
	if p.begin() != nil { // the pool waits for nothing more
		closeAll()
		return
	}
	go func() {
		defer p.work.Done()
		closeAll()
	}()
}

// namedOrNil is named for an error that may be nil.
func namedOrNil(op string, err error) error {
	if err == nil {
		return nil
	}
	return named(op, "", err)
}
