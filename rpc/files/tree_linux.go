package files

import (
	"os"

	"golang.org/x/sys/unix"
)

// pendingBytes is how long the names of the directories may be, together, that a copy or a removal has
// yet to read.
const pendingBytes = 16 << 20

// tree is a directory that is copied or removed. Directories in it are opened by their relative paths,
// beneath it and without symbolic links, so a deep tree needs few descriptors.
type tree struct {
	task    *task
	path    string   // of the directory, without symbolic links
	base    *os.File // the directory
	pending []string // relative paths of directories, the next one last
	size    int      // of pending, in bytes
	count   int      // entries
}

// push adds a directory. It returns false if there are too many.
func (tr *tree) push(rel string) bool {
	if tr.size+len(rel) > pendingBytes {
		return false
	}
	tr.size += len(rel)
	tr.pending = append(tr.pending, rel)
	return true
}

func (tr *tree) top() string { return tr.pending[len(tr.pending)-1] }

func (tr *tree) pop() {
	tr.size -= len(tr.top())
	tr.pending = tr.pending[:len(tr.pending)-1]
}

// counted counts an entry, and ends the operation when it must end.
func (tr *tree) counted() error {
	if tr.count++; tr.count > maxTreeEntries {
		return tooLarge("", "at most %d entries in one operation", maxTreeEntries)
	}
	return tr.task.check()
}

// open opens a directory of the tree for reading its names.
func (tr *tree) open(rel string, resolve uint64) (*os.File, error) {
	fd, err := openBeneath(int(tr.base.Fd()), rel, unix.O_RDONLY|unix.O_DIRECTORY, resolve)
	if err != nil {
		return nil, err
	}
	if err := tr.task.needVisible(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), rel), nil
}

// below returns the relative path of an entry.
func below(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}
