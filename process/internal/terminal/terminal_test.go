package terminal

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpen(t *testing.T) {
	p, err := Open(24, 65535)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	check(t, p)
}

// check checks a pair that was opened with 24 rows and 65535 columns.
func check(t *testing.T, p Pair) {
	t.Helper()
	for fd, nonblock := range map[int]bool{p.Slave: false, p.Write: true, p.Read: true} {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		closed, err2 := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || err2 != nil || flags&unix.O_NONBLOCK != 0 != nonblock || closed&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d of %+v: flags %#x %#x, %v, %v", fd, p, flags, closed, err, err2)
		}
	}
	for _, rows := range []int{24, 1} {
		size, err := unix.IoctlGetWinsize(p.Slave, unix.TIOCGWINSZ)
		if err != nil || int(size.Row) != rows || size.Col != 65535 {
			t.Errorf("size %+v, %v, want %d rows", size, err, rows)
		}
		if err := Resize(p.Read, 1, 65535); err != nil {
			t.Error(err)
		}
	}
	if key, err := EOFKey(p.Read); string(key) != "\x04" || err != nil {
		t.Errorf("EOFKey = %q, %v", key, err)
	}
	mode, err := unix.IoctlGetTermios(p.Slave, getTermios)
	if err != nil || mode.Iflag&unix.IUTF8 == 0 {
		t.Fatalf("input flags %#x, %v", mode.Iflag, err)
	}
	mode.Cc[unix.VEOF] = disabled
	for _, on := range []bool{true, false} {
		if got, err := Echo(p.Write); got != on || err != nil {
			t.Errorf("Echo = %v, %v, want %v", got, err, on)
		}
		mode.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(p.Slave, setTermios, mode); err != nil {
			t.Fatal(err)
		}
	}
	if key, err := EOFKey(p.Read); len(key) > 0 || err != nil {
		t.Errorf("EOFKey = %q, %v after it was disabled", key, err)
	}
}

func TestCloseClosesAll(t *testing.T) {
	p, err := Open(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	old := p
	p.Close()
	for _, fd := range []int{old.Slave, old.Write, old.Read} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d: %v, want EBADF", fd, err)
		}
	}
	p.Close() // again
}

func TestEnv(t *testing.T) {
	env := []string{"A=1", "TERM=dumb", "TERMINFO=x"}
	if got := Env(env, "vt100"); !slices.Equal(got, []string{"A=1", "TERMINFO=x", "TERM=vt100"}) || env[1] != "TERM=dumb" {
		t.Errorf("Env = %q of %q", got, env)
	}
}
