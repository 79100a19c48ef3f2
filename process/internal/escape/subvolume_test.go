//go:build linux

package escape

import (
	"errors"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// The commands of btrfs that make a subvolume, and a snapshot of one (linux/btrfs.h).
const (
	subvolumeCreate = 0x5000940e
	snapshotCreate  = 0x50009401
)

// makeSubvolume makes a subvolume of btrfs, or a snapshot if source is the path of a subvolume.
func makeSubvolume(dir, name, source string) error {
	arg := struct {
		fd   int64
		name [4088]byte
	}{fd: -1}
	copy(arg.name[:], name)
	command := uintptr(subvolumeCreate)
	if source != "" {
		from, err := os.Open(source)
		if err != nil {
			return err
		}
		defer from.Close()
		command, arg.fd = snapshotCreate, int64(from.Fd())
	}
	to, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, to.Fd(), command, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		return errno
	}
	return nil
}

// subvolumeAttempts use btrfs, on which TMPDIR has to be. Its commands need directories that are open for
// reading.
func subvolumeAttempts() []attempt {
	return []attempt{
		{name: "make a subvolume in an outside directory", part: files, maybe: "btrfs",
			try:     func(w *world) error { return makeSubvolume(w.Outside, "new", "") },
			escaped: exists("outside/new")},
		{name: "read a hidden file in a snapshot", part: files, maybe: "btrfs",
			rules: func(w *world) {
				w.config.Files = append(w.config.Files, sandbox.Rule{Path: w.Readable + "/sub/hidden", Access: sandbox.None, Missing: sandbox.Skip})
			},
			prepare: func(_ testing.TB, w *world) { // without btrfs there is nothing to read
				sub := w.Readable + "/sub"
				if makeSubvolume(w.Readable, "sub", "") == nil {
					_ = errors.Join(os.Mkdir(sub+"/hidden", 0o755), os.WriteFile(sub+"/hidden/secret", []byte(w.secret), 0o644), w.own(sub))
				}
			},
			try: func(w *world) error {
				return errors.Join(makeSubvolume(w.Work, "snapshot", w.Readable+"/sub"), read(w.Work+"/snapshot/hidden/secret"))
			},
			escaped: leaked},
	}
}
