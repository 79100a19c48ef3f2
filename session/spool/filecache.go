package spool

import (
	"container/list"
	"sync"

	"github.com/runnel-rpc/runnel/session/spool/outputfile"
)

// maxOpenFiles is how many output files of ended sessions are kept open for further reads.
const maxOpenFiles = 16

// fileCache has the output files of ended sessions that were read last.
type fileCache struct {
	spool     *Spool
	mu        sync.Mutex
	byKey     map[int64]*list.Element
	all       list.List // of *cachedFile, the one that was used last first
	forgotten uint64    // how often forget was called
	closed    bool
}

// cachedFile is an open file. The cache's lock protects it.
type cachedFile struct {
	key    int64
	file   *outputfile.File
	users  int
	cached bool
}

func newFileCache(sp *Spool) *fileCache {
	return &fileCache{spool: sp, byKey: make(map[int64]*list.Element)}
}

// open returns the output file of a session, until release is called.
func (c *fileCache) open(e *entry) (f *outputfile.File, release func(), err error) {
	c.mu.Lock()
	if found := c.byKey[e.key]; found != nil {
		x := found.Value.(*cachedFile)
		x.users++
		c.all.MoveToFront(found)
		c.mu.Unlock()
		return x.file, func() { c.release(x) }, nil
	}
	forgotten := c.forgotten
	c.mu.Unlock()
	if f, err = outputfile.Open(c.spool.disk, c.spool.outputPath(e)); err != nil {
		return nil, nil, err
	}
	x := &cachedFile{key: e.key, file: f, users: 1}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Otherwise another read has opened it too, or it may have been replaced or removed meanwhile.
	if c.byKey[e.key] == nil && forgotten == c.forgotten && !c.closed {
		x.cached = true
		c.byKey[e.key] = c.all.PushFront(x)
		if c.all.Len() > maxOpenFiles {
			c.remove(c.all.Back())
		}
	}
	return f, func() { c.release(x) }, nil
}

// release ends the use of a file.
func (c *fileCache) release(x *cachedFile) {
	c.mu.Lock()
	x.users--
	unused := x.users == 0 && !x.cached
	c.mu.Unlock()
	if unused {
		_ = x.file.Close()
	}
}

// remove takes a file out of the cache. It is closed when it is not used.
func (c *fileCache) remove(e *list.Element) {
	x := c.all.Remove(e).(*cachedFile)
	delete(c.byKey, x.key)
	x.cached = false
	if x.users == 0 {
		go x.file.Close() // it may block
	}
}

// forget takes the file of a session out of the cache, because it was replaced or removed.
func (c *fileCache) forget(key int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	if found := c.byKey[key]; found != nil {
		c.remove(found)
	}
}

// close closes the files, those that are used when they are released.
func (c *fileCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.all.Len() > 0 {
		c.remove(c.all.Back())
	}
}
