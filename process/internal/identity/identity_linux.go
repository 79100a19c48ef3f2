// Package identity gives each server a random number and a locked state file, by which a later
// server recognizes what it has left behind.
//
// The lock (flock(2)) ends with the server, however that ends, and unlike a process id it is not
// reused. A server has an exclusive lock. Its keeper has a shared lock while it ends processes.
package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

const (
	// keeperWait is how long a new server waits for the keeper of a crashed one.
	keeperWait   = 5 * time.Second
	lockInterval = time.Millisecond // between two attempts to lock the file
)

// Identity is a server: this one, or one that has left a state file. The zero value has no file.
type Identity struct {
	Number uint64
	Record Record
	file   *os.File // nil without a state directory
}

// Record is the content of the state file.
type Record struct {
	PID     int      `json:"pid"`
	Boot    string   `json:"boot_id"`
	Cgroups []string `json:"cgroups"` // that the server may have made
}

// Name returns the name of the state file and the cgroups of a server.
func Name(number uint64) string { return fmt.Sprintf("runnel-%08x", number) }

// Name returns the name of the state file and the cgroups.
func (i *Identity) Name() string { return Name(i.Number) }

// Open chooses a number that no other server has, and makes and locks the state file. stateDir is
// made if it does not exist. With "" there is no state file.
func (i *Identity) Open(stateDir string) error {
	if stateDir == "" {
		i.Number = randomNumber()
		return nil
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return err
	}
	for {
		i.Number = randomNumber()
		path := filepath.Join(stateDir, i.Name())
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = flock(f, unix.LOCK_EX)
		if err == nil && isAt(f, path) { // otherwise a recovery has removed the file before it was locked
			i.file = f
			return nil
		}
		_ = f.Close()
		if err != nil && err != unix.EWOULDBLOCK { // a file system without locks
			_ = os.Remove(path)
			return &os.PathError{Op: "flock", Path: path, Err: err}
		}
	}
}

func randomNumber() uint64 { return 1 + rand.Uint64N(mark.MaxInstance-1) }

// Write records which cgroups this server may make, before it makes any.
func (i *Identity) Write(cgroups []string) error {
	i.Record = Record{PID: os.Getpid(), Boot: procfs.BootID(), Cgroups: cgroups}
	if i.file == nil {
		return nil
	}
	text, err := json.Marshal(i.Record)
	if err == nil {
		_, err = i.file.WriteAt(append(text, '\n'), 0)
	}
	return err
}

// File returns the absolute path of the state file, or "" if there is none.
func (i *Identity) File() (string, error) {
	if i.file == nil {
		return "", nil
	}
	return filepath.Abs(i.file.Name())
}

// Close unlocks the state file. It removes it if remove is true; otherwise the next server finds
// it.
func (i *Identity) Close(remove bool) {
	if i.file == nil {
		return
	}
	if remove {
		_ = os.Remove(i.file.Name())
	}
	_ = i.file.Close()
}

// List returns the paths of the state files in a directory, by the numbers of their servers.
func List(stateDir string) (map[uint64]string, error) {
	if stateDir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(stateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files := make(map[uint64]string)
	for _, e := range entries {
		var number uint64
		if n, err := fmt.Sscanf(e.Name(), "runnel-%x", &number); n == 1 && err == nil && Name(number) == e.Name() {
			files[number] = filepath.Join(stateDir, e.Name())
		}
	}
	return files, nil
}

// OpenCrashed opens and locks the state file of a server that has exited, and reads its record. ok
// is false if the server runs, another process handles the file, or it belongs to another user. It
// waits at most five seconds for the keeper of the crashed server.
func OpenCrashed(path string, number uint64) (crashed *Identity, ok bool, err error) {
	f, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !lockCrashed(f) || !isAt(f, path) {
		_ = f.Close()
		return nil, false, nil
	}
	crashed = &Identity{Number: number, file: f}
	_ = json.NewDecoder(f).Decode(&crashed.Record) // remains zero if the server exited before it wrote the record
	return crashed, true, nil
}

// ThisBoot reports whether the server has run since the last boot of this machine. What it has left
// does not survive a boot.
func (r *Record) ThisBoot() bool { return r.Boot == procfs.BootID() }

// LockShared takes a shared lock on the state file of a crashed server, so that a new server waits
// for its keeper. ok is false if another server has the lock. If there is no state file, no lock is
// needed: ending the leftover processes twice does no harm.
func LockShared(path string) (unlock func(), ok bool) {
	f, err := openFile(path)
	if err != nil {
		return func() {}, true
	}
	if flock(f, unix.LOCK_SH) != nil {
		_ = f.Close()
		return nil, false
	}
	return func() { _ = f.Close() }, true
}

// lockCrashed locks the file of a crashed server. It returns false if another server has the lock,
// and waits for a keeper.
func lockCrashed(f *os.File) bool {
	for end := time.Now().Add(keeperWait); time.Now().Before(end); time.Sleep(lockInterval) {
		if flock(f, unix.LOCK_EX) == nil {
			return true
		}
		if flock(f, unix.LOCK_SH) != nil {
			return false
		}
		_ = flock(f, unix.LOCK_UN)
	}
	return false
}

// flock does not wait: the error is EWOULDBLOCK if another process has the lock.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err != unix.EINTR {
			return err
		}
	}
}

func isAt(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// openFile opens a state file. It fails for anything but a regular file, and does not wait for a
// FIFO.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil, fmt.Errorf("state file %s: not a regular file", path)
	}
	return f, nil
}
