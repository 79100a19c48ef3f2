package spool

import (
	"context"
	"os"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// freeStep is how many bytes of the disk are freed at once. A file system may take more than stallAfter to
// free a few gigabytes, and a worker that did so would count as stalled.
const freeStep = 64 << 20

// remover frees the space of files of more than freeStep, whose names are removed before. Files are added
// no faster than the disk writes them.
type remover struct {
	disk disk.Files
	step int64 // freeStep

	mu    sync.Mutex
	files []disk.File // open, without names
	wake  chan struct{}
}

func newRemover(d disk.Files) *remover {
	return &remover{disk: d, step: freeStep, wake: make(chan struct{}, 1)}
}

// unlink removes the name of a file that occupies so many bytes. If it is large, unlink returns the file,
// which has to be passed to add.
func (r *remover) unlink(path string, bytes int64) (disk.File, error) {
	if bytes <= r.step {
		return nil, r.disk.Remove(path)
	}
	f, openErr := r.disk.OpenFile(path, os.O_WRONLY, 0)
	err := r.disk.Remove(path)
	if openErr != nil { // then the space was freed with the name
		return nil, err
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// add frees a file soon, and closes it. It does not block; nil is no file.
func (r *remover) add(f disk.File) {
	if f == nil {
		return
	}
	r.mu.Lock()
	r.files = append(r.files, f)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run frees the files until the context ends, and closes them.
func (r *remover) run(ctx context.Context) {
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-r.wake:
		}
		for f := r.next(); f != nil; f = r.next() {
			r.free(ctx, f)
		}
	}
}

// next returns the oldest file, or nil.
func (r *remover) next() disk.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) == 0 {
		return nil
	}
	f := r.files[0]
	r.files = slices.Delete(r.files, 0, 1)
	return f
}

// free truncates a file step by step, so that others can use the file system meanwhile, and closes it.
// What is left when the context ends is freed by the close.
func (r *remover) free(ctx context.Context, f disk.File) {
	size, err := f.Size()
	for size -= r.step; err == nil && size > 0 && ctx.Err() == nil; size -= r.step {
		err = f.Truncate(size)
	}
	_ = f.Close()
}
