package procfs

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func oomScoreFile(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/oom_score_adj" }

// OOMScoreAdj returns the oom_score_adj of a process, -1000 to 1000 (proc_pid_oom_score_adj(5)). It
// needs a free file descriptor.
func OOMScoreAdj(pid int) (int, error) { return readOOMScore(oomScoreFile(pid)) }

// OwnOOMScoreAdj returns that of this process.
func OwnOOMScoreAdj() (int, error) { return readOOMScore("/proc/self/oom_score_adj") }

func readOOMScore(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// SetOOMScoreAdj sets the oom_score_adj of a child that the caller does not reap meanwhile. Errors
// are ignored. It needs a free file descriptor, but no os.File, which would be registered with the
// poller.
func SetOOMScoreAdj(pid, score int) {
	fd, err := unix.Open(oomScoreFile(pid), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = unix.Write(fd, strconv.AppendInt(nil, int64(score), 10))
	_ = unix.Close(fd)
}

// RaiseOOMScoreAdj raises the oom_score_adj of a process if it is lower than score and isMember
// returns true. The file is opened before isMember is called, so it remains that of the same
// process even if the id is used again. Errors are ignored. It needs a free file descriptor.
func RaiseOOMScoreAdj(pid, score int, isMember func() bool) {
	f, err := os.OpenFile(oomScoreFile(pid), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	var text [16]byte
	n, _ := f.Read(text[:])
	if now, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err != nil || now >= score || !isMember() {
		return
	}
	_, _ = f.WriteAt([]byte(strconv.Itoa(score)), 0)
}
