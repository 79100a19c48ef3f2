package procfs

import (
	"bytes"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// statusField returns the value of a field of /proc/PID/status (proc_pid_status(5)); ok is false if
// there is no such field.
func statusField(pid, name string) (value string, ok bool, err error) {
	text, err := readStatus(pid)
	if err != nil {
		return "", false, err
	}
	value, ok = fieldOf(text, name)
	return value, ok, nil
}

func readStatus(pid string) ([]byte, error) { return fdreserve.ReadFile("/proc/" + pid + "/status") }

// fieldOf returns the value of a field in the text of a status or fdinfo file.
func fieldOf(text []byte, name string) (value string, ok bool) {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			return string(bytes.TrimSpace(value)), true
		}
	}
	return "", false
}

// Disposition reports whether a process ignores a signal, and whether its first thread blocks it.
// The kernel reads both at the same time. Both are false if that cannot be known.
func Disposition(pid int, sig syscall.Signal) (ignored, blocked bool) {
	text, err := readStatus(strconv.Itoa(pid))
	if err != nil {
		return false, false
	}
	return hasSignal(text, "SigIgn", sig), hasSignal(text, "SigBlk", sig)
}

func hasSignal(status []byte, field string, sig syscall.Signal) bool {
	hex, _ := fieldOf(status, field)
	mask, err := strconv.ParseUint(hex, 16, 64)
	return err == nil && mask>>(sig-1)&1 == 1
}

// ThreadGroup returns the id of the process to which a thread belongs. The error is ESRCH if the
// thread has ended.
func ThreadGroup(tid int) (pid int, err error) {
	value, _, err := statusField(strconv.Itoa(tid), "Tgid")
	if fdreserve.Exhausted(err) {
		return 0, err
	}
	if pid, err = strconv.Atoi(value); err != nil {
		return 0, unix.ESRCH
	}
	return pid, nil
}

// PIDOf returns the process id of a pidfd (pidfd_open(2)). The error is ESRCH if the process was reaped.
func PIDOf(pidfd int) (pid int, err error) {
	text, err := fdreserve.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0, err
	}
	value, _ := fieldOf(text, "Pid")
	if pid, err = strconv.Atoi(value); err != nil || pid <= 0 {
		return 0, unix.ESRCH
	}
	return pid, nil
}

// OwnUmask returns the umask of this process. umask(2) cannot read it without changing it for all
// threads. The error is ENOTSUP before Linux 4.7.
func OwnUmask() (int, error) {
	octal, ok, err := statusField("self", "Umask")
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, unix.ENOTSUP
	}
	n, err := strconv.ParseInt(octal, 8, 32)
	return int(n), err
}
