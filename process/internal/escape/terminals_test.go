//go:build linux

package escape

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process"
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
		{name: "write to a terminal through an inherited master", part: always, prepare: withInheritedMaster,
			escaped: func(w *world, _ string) bool {
				buf := make([]byte, 4096)
				n, err := unix.Read(w.Num["master"], buf)
				return err == nil && strings.Contains(string(buf[:n]), w.Work)
			},
			try: func(w *world) error { // commands of other worlds inherit it, too
				var list []error
				for fd := uintptr(0); fd < 256; fd++ {
					slave, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK)
					if errno == 0 {
						_, err := unix.Write(int(slave), []byte(w.Work))
						list = append(list, err)
					}
				}
				if len(list) == 0 {
					return unix.ENOTTY
				}
				return errors.Join(list...)
			}},
		{name: "write to the terminal of another sandbox", part: always, prepare: withOtherSandbox, maybe: "other sandbox",
			escaped: func(w *world, _ string) bool {
				n, err := w.other.Stdout().TryRead(func() []byte { return make([]byte, 16) })
				return err == nil && n > 0
			},
			try: func(w *world) error {
				return errors.Join(writeTerminal(w.ofVictim("root/dev/pts/0")), writeTerminal(w.ofVictim("fd/0")))
			}},
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

// withInheritedMaster is withTerminal with a master that is not closed on exec.
func withInheritedMaster(t testing.TB, w *world) {
	t.Helper()
	withTerminal(t, w)
	fd, err := unix.Dup(w.Num["master"])
	if err == nil {
		w.fd["inherited"] = fd
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// withOtherSandbox starts a command in another sandbox with a terminal. Its process id is that of the
// victim.
func withOtherSandbox(t testing.TB, w *world) {
	t.Helper()
	h, err := hostWith("")
	if err != nil {
		t.Fatal(err)
	}
	spec := process.Spec{
		Argv: []string{"sleep", "60"}, Dir: w.Work, Env: environment(), Sandbox: w.defaults(), User: userOf(w),
		Terminal: &process.Terminal{Rows: 24, Cols: 80},
	}
	if w.other, err = h.Start(spec); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	w.cleanup(w.other.Discard)
	w.Num["victim"] = w.other.PID()
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
