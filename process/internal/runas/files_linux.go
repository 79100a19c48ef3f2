package runas

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Files runs f with the rights of u for all calls of the file system: with its ids and
// supplementary groups (setfsuid(2)), and without capabilities unless it is root. f must not leave
// the goroutine, whose thread it runs on. The error is that f was not run. A nil User runs f with
// the rights of this process.
//
// The other ids of the thread do not change, so that processes of u can not signal it.
func (u *User) Files(f func()) error {
	if u == nil {
		f()
		return nil
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // unlocked only if the thread has its own rights again; else it ends
		own, err := u.enterFiles()
		if err == nil {
			f()
		}
		if own.restore() == nil {
			runtime.UnlockOSThread()
		}
		failed <- err
	}()
	return <-failed
}

// fileRights are the rights of a thread for the file system.
type fileRights struct {
	groups []uint32
	caps   capabilities
	known  bool
}

// enterFiles gives the calling thread the rights of u, and returns those that it had.
func (u *User) enterFiles() (own fileRights, err error) {
	if own.caps, err = ownCapabilities(); err != nil {
		return own, err
	}
	if own.groups, err = threadGroups(); err != nil {
		return own, err
	}
	own.known = true
	if err := setThreadGroups(u.Groups); err != nil {
		return own, err
	}
	if err := setFileIDs(u.UID, u.GID); err != nil {
		return own, err
	}
	if u.UID == 0 {
		return own, nil
	}
	without := own.caps
	for i := range without {
		without[i].Effective = 0 // restore raises it again
	}
	return own, without.set()
}

func (own *fileRights) restore() error {
	if !own.known {
		return errors.New("nothing was changed, or it is not known")
	}
	err := own.caps.set() // first, since the others need them
	return errors.Join(err, setFileIDs(uint32(os.Geteuid()), uint32(os.Getegid())), setThreadGroups(own.groups), own.caps.set())
}

// setFileIDs sets the ids for the file system of the calling thread. The calls return no error, but
// the id before them.
func setFileIDs(uid, gid uint32) error {
	for _, set := range []struct {
		call uintptr
		id   uint32
	}{{sysSetfsgid, gid}, {sysSetfsuid, uid}} {
		_, _, _ = unix.RawSyscall(set.call, uintptr(set.id), 0, 0)
		if now, _, _ := unix.RawSyscall(set.call, unset, 0, 0); uint32(now) != set.id {
			return fmt.Errorf("the id for the file system is %d instead of %d: %w", now, set.id, unix.EPERM)
		}
	}
	return nil
}

// threadGroups returns the supplementary groups of the calling thread.
func threadGroups() ([]uint32, error) {
	ids, err := unix.Getgroups()
	groups := make([]uint32, len(ids))
	for i, id := range ids {
		groups[i] = uint32(id)
	}
	return groups, os.NewSyscallError("getgroups", err)
}

// setThreadGroups sets the supplementary groups of the calling thread alone, unlike package syscall.
func setThreadGroups(groups []uint32) error {
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, errno := unix.RawSyscall(sysSetgroups, uintptr(len(groups)), uintptr(first), 0); errno != 0 {
		return os.NewSyscallError("setgroups", errno)
	}
	return nil
}
