package bubblewrap

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/poller"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// namespaces are the flags of setns(2) and the names in /proc/PID/ns (namespaces(7)).
var namespaces = []struct {
	flag int
	name string
}{
	{unix.CLONE_NEWNS, "mnt"}, {unix.CLONE_NEWIPC, "ipc"}, {unix.CLONE_NEWUTS, "uts"}, {unix.CLONE_NEWNET, "net"},
	{unix.CLONE_NEWPID, "pid"}, {unix.CLONE_NEWUSER, "user"},
}

// namespace is the identity of one.
type namespace struct{ dev, ino uint64 }

// ownNamespaces are those of this process, which do not change, in the order of namespaces.
var ownNamespaces = sync.OnceValues(func() (own []namespace, err error) {
	for _, n := range namespaces {
		one, err := namespaceAt("/proc/self/ns/" + n.name)
		if err != nil {
			return nil, err
		}
		own = append(own, one)
	}
	return own, nil
})

func namespaceAt(path string) (namespace, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return namespace{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return namespace{uint64(st.Dev), st.Ino}, nil
}

// separate returns an error unless a process has namespaces of its own, as flags say. What bwrap was
// told is no proof: a program in its place may leave something out.
func separate(pidfd, flags int) error {
	own, err := ownNamespaces()
	if err != nil {
		return err
	}
	pid, err := procfs.PIDOf(pidfd)
	if err != nil {
		return err
	}
	for i, n := range namespaces {
		if flags&n.flag == 0 {
			continue
		}
		of, err := namespaceAt("/proc/" + strconv.Itoa(pid) + "/ns/" + n.name)
		if err != nil {
			return err
		}
		if of == own[i] {
			return fmt.Errorf("bwrap has made no %s namespace", n.name)
		}
	}
	if poller.Readable(pidfd) { // it has exited, so the process id may be that of another one
		return unix.ESRCH
	}
	return nil
}
