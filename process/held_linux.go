package process

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxHeld is how many files are kept open for the next exec of the same.
	maxHeld = 16
	// heldFor is how long a file that nobody executes is kept open.
	heldFor = time.Second
)

// heldFiles are programs and interpreters that were executed a moment ago. They are kept open, since to open and inspect one takes
// several times as long as to see that it is still the same. None is on a remote file system. A nil one holds nothing.
type heldFiles struct {
	mu     sync.Mutex
	all    map[fileID]*heldFile
	timer  *time.Timer // runs expire while there is any
	closed bool
}

// heldFile belongs to the lock of its heldFiles, but for what is not changed.
type heldFile struct {
	id          fileID
	fd          int
	interpreter string // "" for none
	users       int    // starts that rely on its being open
	used        time.Time
}

// fileID is a file with the content that it has now: the kernel changes ctime with each write.
type fileID struct {
	dev, ino uint64
	size     int64
	ctime    unix.Timespec
}

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino, st.Size, st.Ctim} }

// take returns a file that is open, or nil. It is to be given back.
func (h *heldFiles) take(id fileID) *heldFile {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.all[id]
	if f != nil {
		f.users++
	}
	return f
}

// add takes over fd, unless there is no place for it. The file is to be given back.
func (h *heldFiles) add(fd int, interpreter string) *heldFile {
	var st unix.Stat_t
	if h == nil || unix.Fstat(fd, &st) != nil {
		return nil
	}
	f := &heldFile{id: idOf(&st), fd: fd, interpreter: interpreter, users: 1}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.all[f.id] != nil || len(h.all) >= maxHeld {
		return nil
	}
	if h.all == nil {
		h.all = make(map[fileID]*heldFile)
	}
	h.all[f.id] = f
	if h.timer == nil {
		h.timer = time.AfterFunc(heldFor, h.expire)
	}
	return f
}

// onDevice says whether a file that is held is on a device, which is no remote file system then.
func (h *heldFiles) onDevice(dev uint64) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.all {
		if id.dev == dev {
			return true
		}
	}
	return false
}

func (h *heldFiles) give(f *heldFile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.users--
	f.used = time.Now()
	if h.closed && f.users == 0 {
		_ = unix.Close(f.fd)
	}
}

// expire closes what nobody has used for a while.
func (h *heldFiles) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	next := heldFor
	for id, f := range h.all {
		left := heldFor - time.Since(f.used)
		switch {
		case f.users > 0:
		case left <= 0:
			_ = unix.Close(f.fd)
			delete(h.all, id)
		default:
			next = min(next, left)
		}
	}
	if h.timer = nil; len(h.all) > 0 {
		h.timer = time.AfterFunc(next, h.expire)
	}
}

// close closes all but what a start relies on, which is closed when that is over.
func (h *heldFiles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	for _, f := range h.all {
		if f.users == 0 {
			_ = unix.Close(f.fd)
		}
	}
	h.all = nil
}
