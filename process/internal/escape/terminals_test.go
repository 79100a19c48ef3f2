//go:build linux

package escape

import (
	"errors"
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// terminalAttempts use terminals.
func terminalAttempts() []attempt {
	push := func(name string, request uintptr) attempt {
		return attempt{name: name, part: always, terminal: true, maybe: "TIOCSTI", try: func(*world) error {
			b := byte('x')
			return sys(unix.SYS_IOCTL, 0, request, pointer(&b)).try()
		}}
	}
	return []attempt{
		push("push input to the terminal", unix.TIOCSTI),
		push("push input to the terminal with high bits in the request", unix.TIOCSTI|1<<32),
		{name: "control a virtual terminal", part: always, terminal: true, try: func(*world) error {
			b := byte(10)
			return reached(sys(unix.SYS_IOCTL, 0, unix.TIOCLINUX, pointer(&b)).try(), unix.ENOTTY)
		}},
		{name: "control a virtual terminal with high bits in the request", part: always, terminal: true, try: func(*world) error {
			b := byte(10)
			return reached(sys(unix.SYS_IOCTL, 0, unix.TIOCLINUX|1<<32, pointer(&b)).try(), unix.ENOTTY)
		}},
		{name: "write to the terminal of another session", part: files, prepare: withTerminal, escaped: printed,
			try: func(w *world) error { return writeTerminal(w.Str["terminal"]) }},
		{name: "write to the terminal of another session from a terminal", part: files, terminal: true, prepare: withTerminal, escaped: printed,
			try: func(w *world) error { return writeTerminal(w.Str["terminal"]) }},
		{name: "push input to the terminal of another session", part: always, root: true, prepare: withTerminal,
			try: func(w *world) error {
				fd, err := unix.Open(w.Str["terminal"], unix.O_RDONLY|unix.O_NOCTTY, 0)
				if err != nil {
					return err
				}
				b := byte('x')
				return sys(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, pointer(&b)).try()
			}},
	}
}

// withTerminal makes a terminal of the command's user that is not that of the command.
func withTerminal(t testing.TB, w *world) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	w.cleanup(func() { closeAll([]*os.File{master, slave}) })
	w.Str["terminal"] = slave.Name()
	w.Num["master"] = int(master.Fd()) // which makes it blocking
	err = unix.SetNonblock(w.Num["master"], true)
	if os.Geteuid() == 0 {
		err = errors.Join(err, slave.Chown(w.uid, w.uid))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeTerminal(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("escaped"))
	return err
}

// printed reports whether something was written to the other terminal.
func printed(w *world, _ string) bool {
	n, err := unix.Read(w.Num["master"], make([]byte, 16))
	return err == nil && n > 0
}
