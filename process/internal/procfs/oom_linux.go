package procfs

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// OOMScoreAdj returns the oom_score_adj of a process, -1000 to 1000 (proc_pid_oom_score_adj(5)).
func OOMScoreAdj(pid int) (int, error) { return readOOMScoreAdj(strconv.Itoa(pid)) }

// OwnOOMScoreAdj returns that of this process.
func OwnOOMScoreAdj() (int, error) { return readOOMScoreAdj("self") }

func oomScoreFile(pid string) string { return "/proc/" + pid + "/oom_score_adj" }

func readOOMScoreAdj(pid string) (int, error) {
	text, err := fdreserve.ReadFile(oomScoreFile(pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// SetOOMScoreAdj sets the oom_score_adj of a child that the caller does not reap meanwhile.
func SetOOMScoreAdj(pid, score int) error {
	return fdreserve.WriteFile(oomScoreFile(strconv.Itoa(pid)), strconv.Itoa(score))
}

// RaiseOOMScoreAdj raises the oom_score_adj of a process if it is lower than score and isMember
// returns true. The file is opened before isMember is called, so it remains that of the same
// process even if the id is used again.
func RaiseOOMScoreAdj(pid, score int, isMember func() bool) error {
	_, err := fdreserve.Do(func() (struct{}, error) { return struct{}{}, raiseOOMScoreAdj(pid, score, isMember) })
	return err
}

func raiseOOMScoreAdj(pid, score int, isMember func() bool) error {
	fd, err := unix.Open(oomScoreFile(strconv.Itoa(pid)), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	var text [16]byte
	n, err := unix.Pread(fd, text[:], 0)
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || now >= score || !isMember() {
		return err
	}
	_, err = unix.Pwrite(fd, []byte(strconv.Itoa(score)), 0)
	return os.NewSyscallError("write", err)
}
