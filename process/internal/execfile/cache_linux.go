package execfile

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxCached is how many files a Cache keeps open.
	MaxCached = 16
	// maxIdle is how long a file that is not executed is kept open.
	maxIdle = time.Second
)

// Cache keeps programs and interpreters that were executed recently open, since opening and parsing
// one takes several times as long as checking that it has not changed. None is on a remote file
// system. The zero value is ready for use, and a nil Cache caches nothing. Its methods may be
// called from any goroutine.
type Cache struct {
	mu     sync.Mutex
	all    map[fileID]*entry
	timer  *time.Timer // runs expire while there are entries
	closed bool
}

// entry is a file in the cache. Its last two fields are guarded by the lock of the cache.
type entry struct {
	id          fileID
	fd          int
	interpreter string // "" for none
	users       int    // Pinned that contain it
	used        time.Time
}

// fileID identifies a file and its present content: the kernel changes ctime with each write.
type fileID struct {
	dev, ino uint64
	size     int64
	ctime    unix.Timespec
}

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino, st.Size, st.Ctim} }

// Len returns the number of entries.
func (c *Cache) Len() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// get returns an entry, to be released by put, or nil.
func (c *Cache) get(id fileID) *entry {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.all[id]
	if e != nil {
		e.users++
	}
	return e
}

// add makes an entry, to be released by put, that owns fd. It returns nil if the cache is full.
func (c *Cache) add(fd int, interpreter string) *entry {
	var st unix.Stat_t
	if c == nil || unix.Fstat(fd, &st) != nil {
		return nil
	}
	e := &entry{id: idOf(&st), fd: fd, interpreter: interpreter, users: 1}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.all[e.id] != nil || len(c.all) >= MaxCached {
		return nil
	}
	if c.all == nil {
		c.all = make(map[fileID]*entry)
	}
	c.all[e.id] = e
	if c.timer == nil {
		c.timer = time.AfterFunc(maxIdle, c.expire)
	}
	return e
}

func (c *Cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	e.used = time.Now()
	if c.closed && e.users == 0 {
		_ = unix.Close(e.fd)
	}
}

// onDevice reports whether an entry is on a device, which then is no remote file system.
func (c *Cache) onDevice(dev uint64) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.all {
		if id.dev == dev {
			return true
		}
	}
	return false
}

// expire removes the entries that were idle for maxIdle.
func (c *Cache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	next := maxIdle
	for id, e := range c.all {
		left := maxIdle - time.Since(e.used)
		switch {
		case e.users > 0:
		case left <= 0:
			_ = unix.Close(e.fd)
			delete(c.all, id)
		default:
			next = min(next, left)
		}
	}
	if c.timer = nil; len(c.all) > 0 {
		c.timer = time.AfterFunc(next, c.expire)
	}
}

// Close removes all entries. Those that are pinned are closed when they are released.
func (c *Cache) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	for _, e := range c.all {
		if e.users == 0 {
			_ = unix.Close(e.fd)
		}
	}
	c.all = nil
}
