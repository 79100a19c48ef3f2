package procfs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Mount is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	ID      int    // that of statx(2)
	Parent  int    // the ID of the mount that Point is in
	Device  string // the file system, as MAJOR:MINOR
	Root    string // the directory of the file system that is mounted
	Point   string
	Type    string   // of the file system
	Options []string // of the file system
}

// OwnMounts reads /proc/self/mountinfo.
func OwnMounts() ([]Mount, error) {
	text, err := fdreserve.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return ParseMounts(text), nil
}

// ParseMounts parses the lines of a mountinfo file, and skips malformed ones.
func ParseMounts(text []byte) (mounts []Mount) {
	for line := range strings.Lines(string(text)) {
		if m, ok := parseMount(line); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// parseMount parses "36 35 98:0 /root /point options tags… - type source options".
func parseMount(line string) (m Mount, ok bool) {
	head, tail, ok := strings.Cut(line, " - ")
	before, after := strings.Fields(head), strings.Fields(tail)
	if !ok || len(before) < 5 || len(after) < 3 {
		return m, false
	}
	id, err := strconv.Atoi(before[0])
	parent, parentErr := strconv.Atoi(before[1])
	return Mount{id, parent, before[2], unescape(before[3]), unescape(before[4]), after[0], strings.Split(after[2], ",")}, err == nil && parentErr == nil
}

// unescape decodes the octal escapes of mountinfo, such as \040 for a space.
func unescape(s string) string {
	for i := 0; i+3 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			s = s[:i] + string([]byte{byte(c)}) + s[i+4:]
		}
	}
	return s
}

// PathOf returns the path at which the mount shows a file of its file system, or "" if it does not.
func (m *Mount) PathOf(file string) string {
	rest, ok := strings.CutPrefix(file, strings.TrimRight(m.Root, "/"))
	if file == "" || !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return ""
	}
	return filepath.Join(m.Point, rest)
}

// MountID returns the ID of the mount that an open file was reached by (Linux 5.8).
func MountID(fd int) (int, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID == 0 {
		err = unix.ENOSYS
	}
	return int(st.Mnt_id), os.NewSyscallError("statx", err)
}

// OtherPaths returns the other paths at which mounts show a file of the mount with the given ID, and
// if it is a directory, those of mounts that show a part of it. Those that another mount hides are
// left out.
func OtherPaths(mounts []Mount, id int, path string) (paths []string) {
	i := slices.IndexFunc(mounts, func(m Mount) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	if !sandbox.Below(path, mounts[i].Point) {
		return nil
	}
	file := filepath.Join(mounts[i].Root, strings.TrimPrefix(path, mounts[i].Point))
	for j := range mounts {
		m := &mounts[j]
		if j == i || m.Device != mounts[i].Device {
			continue
		}
		other := m.PathOf(file)
		if sandbox.Below(m.Root, file) {
			other = m.Point
		}
		if other != "" && m.shows(other) {
			paths = append(paths, other)
		}
	}
	return paths
}

// shows reports whether a path leads to a file of the mount.
func (m *Mount) shows(path string) bool {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	id, err := MountID(fd)
	return err == nil && id == m.ID
}
