//go:build linux

package escape

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func (w *world) socket() *unix.SockaddrUnix { return &unix.SockaddrUnix{Name: w.Str["socket"]} }

// socketAttempts use Unix sockets and FIFOs of the host.
func socketAttempts() []attempt {
	var list []attempt
	for _, kind := range []struct {
		name string
		kind int
	}{{"stream", unix.SOCK_STREAM}, {"datagram", unix.SOCK_DGRAM}, {"seqpacket", unix.SOCK_SEQPACKET}} {
		for _, place := range []struct{ name, path string }{
			{"read-only", "readable/socket"}, {"hidden", "hidden/socket"}, {"writable", "work/socket"}, {"abstract", "@"},
		} {
			list = append(list, attempt{
				name: fmt.Sprintf("contact a %s socket: %s", kind.name, place.name), part: sockets,
				prepare: unixServer(kind.kind, place.path), escaped: contacted,
				try: func(w *world) error { return contact(unix.AF_UNIX, kind.kind, 0, w.socket()) },
			})
		}
	}
	later := func(name, path string) attempt {
		return attempt{name: name, part: sockets, escaped: contacted, during: unixServer(unix.SOCK_STREAM, path),
			try: func(w *world) error {
				return errors.Join(w.await(), contact(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: w.laterSocket(path)}))
			}}
	}
	return append(list,
		later("contact a socket that the host makes later", "work/socket"),
		later("contact an abstract socket that the host makes later", "@"),
		attempt{name: "get a descriptor through a socket", part: sockets, prepare: withGivingServer, escaped: leaked,
			try: receiveDescriptor},
		attempt{name: "contact a socket through a link", part: sockets,
			prepare: unixServer(unix.SOCK_STREAM, "readable/socket"), escaped: contacted,
			try: func(w *world) error {
				return errors.Join(os.Symlink(w.Str["socket"], "s"), contact(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: "s"}))
			}},
		attempt{name: "contact a socket with high bits in the family", part: sockets,
			prepare: unixServer(unix.SOCK_STREAM, "work/socket"), escaped: contacted,
			try: func(w *world) error { return contactRaw(w, unix.AF_UNIX|1<<32, unix.SOCK_STREAM|1<<32) }},
		attempt{name: "contact a socket from one end of a datagram pair", part: sockets,
			prepare: unixServer(unix.SOCK_DGRAM, "work/socket"), escaped: contacted,
			try: func(w *world) error { return contactFromPair(w, unix.SOCK_DGRAM) }},
		attempt{name: "contact an abstract socket from one end of a datagram pair", part: sockets,
			prepare: unixServer(unix.SOCK_DGRAM, "@"), escaped: contacted,
			try: func(w *world) error { return contactFromPair(w, unix.SOCK_DGRAM) }},
		attempt{name: "contact a socket from one end of a raw pair", part: sockets,
			prepare: unixServer(unix.SOCK_DGRAM, "work/socket"), escaped: contacted,
			try: func(w *world) error { return contactFromPair(w, unix.SOCK_RAW) }}, // which is SOCK_DGRAM (unix(7))
		attempt{name: "let the host connect to a socket of the command", part: sockets, escaped: contactable,
			try:    listenInWork,
			during: func(t testing.TB, w *world) { w.dial() }},
		attempt{name: "contact a socket made by io_uring", part: sockets, maybe: "io_uring",
			prepare: unixServer(unix.SOCK_STREAM, "work/socket"), escaped: contacted,
			try: func(w *world) error {
				fd, err := socketByRing(unix.AF_UNIX, unix.SOCK_STREAM)
				if err != nil {
					return err
				}
				return unix.Connect(fd, w.socket())
			}},
		attempt{name: "write to a FIFO in a read-only directory", part: pipes, prepare: fifo("readable/fifo"), escaped: received,
			try: func(w *world) error { return writeFifo(w.Readable + "/fifo") }},
		attempt{name: "write to a FIFO where nothing is written", part: pipes, prepare: fifo("outside/fifo"), escaped: received,
			try: func(w *world) error { return writeFifo(w.Outside + "/fifo") }},
		attempt{name: "write to a hidden FIFO", part: pipes, prepare: fifo("hidden/fifo"), escaped: received,
			try: func(w *world) error { return writeFifo(w.Hidden + "/fifo") }},
		attempt{name: "write to a FIFO that the host makes later", part: pipes, during: fifo("readable/fifo"), escaped: received,
			try: func(w *world) error { return errors.Join(w.await(), writeFifo(w.Readable+"/fifo")) }},
		attempt{name: "write to a nested read-only FIFO", part: nestedPipes, prepare: fifo("work/ro/fifo"), escaped: received,
			try: func(w *world) error { return writeFifo("ro/fifo") }},
	)
}

func (w *world) laterSocket(path string) string {
	if path == "@" {
		return "@" + w.Work
	}
	return w.path(path)
}

// contactRaw connects to the server by system calls whose arguments are longer than the kernel's.
func contactRaw(w *world, family, kind uintptr) error {
	fd, _, errno := unix.Syscall(unix.SYS_SOCKET, family, kind, 0)
	if errno != 0 {
		return errno
	}
	return unix.Connect(int(fd), w.socket())
}

// contactFromPair uses one end of a pair of connected sockets, which a filter may permit, to contact
// another one.
func contactFromPair(w *world, kind int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err != nil {
		return err
	}
	return either(unix.Sendto(pair[0], []byte("escaped"), 0, w.socket()),
		errors.Join(unix.Connect(pair[0], w.socket()), unix.Send(pair[0], []byte("escaped"), 0)))
}

// withGivingServer makes a server that sends a descriptor of hidden/secret to whoever connects.
func withGivingServer(t testing.TB, w *world) {
	w.Str["socket"] = w.Work + "/socket"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: w.Str["socket"]})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	w.cleanup(func() { _ = l.Close(); <-ended })
	if err := errors.Join(os.Chmod(w.Str["socket"], 0o777), w.own(w.Str["socket"])); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		if f, err := os.Open(w.Hidden + "/secret"); err == nil {
			_, _, _ = conn.WriteMsgUnix([]byte("x"), unix.UnixRights(int(f.Fd())), nil)
			_ = f.Close()
		}
	}()
}

func receiveDescriptor(w *world) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, w.socket()); err != nil {
		return err
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(fd, make([]byte, 1), oob, 0)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 {
		return errors.Join(err, errors.New("no descriptor"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	buf := make([]byte, 64)
	n, err = unix.Read(fds[0], buf)
	_, _ = os.Stdout.Write(buf[:max(n, 0)])
	return err
}

// listenInWork makes a server in the workspace, where the host connects to it.
func listenInWork(w *world) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: w.Work + "/mine"}), unix.Listen(fd, 1)); err != nil {
		return err
	}
	return w.await()
}

// dial connects to the server of the command.
func (w *world) dial() {
	if conn, err := net.Dial("unix", w.Work+"/mine"); err == nil {
		w.Num["dialed"] = 1
		_ = conn.Close()
	}
}

func contactable(w *world, _ string) bool { return w.Num["dialed"] == 1 }

// fifo returns a function that makes a FIFO, which the test reads.
func fifo(name string) func(t testing.TB, w *world) {
	return func(t testing.TB, w *world) {
		t.Helper()
		path := w.path(name)
		err := errors.Join(unix.Mkfifo(path, 0o644), w.own(path))
		if err == nil {
			w.fd["fifo"], err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func writeFifo(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("escaped"))
	return err
}

// received reports whether something was written to the FIFO.
func received(w *world, _ string) bool {
	n, err := unix.Read(w.fd["fifo"], make([]byte, 16))
	return err == nil && n > 0
}
