//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

const (
	limitRead  = 64 << 10  // the size of a read, as in package stream
	limitPipe  = 256 << 10 // the size of the pipe, as in package process
	limitEnd   = 0         // the byte after the output of a command: JSON text has none
	worstBytes = 6         // that one byte becomes as JSON
)

// limitRole is what bounds the throughput of a server: it reads the pipe of a command, escapes
// what it read as JSON, and writes it to a TCP connection, without WebSocket, JSON-RPC, sessions
// and a log. It connects to the address that is its argument, reads the path of a file, sends the
// output of `cat` and limitEnd, and then reads the next path.
func limitRole(args []string) error {
	if len(args) != 1 {
		return errors.New("the argument is an address")
	}
	read, out := make([]byte, limitRead), make([]byte, 0, worstBytes*limitRead+1024)
	return forEachPath(args[0], func(c net.Conn, path string) error { return relay(c, path, read, out) })
}

// forEachPath connects to an address, and calls f for each line that it reads, and then sends limitEnd.
func forEachPath(address string, f func(c net.Conn, path string) error) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	for paths := bufio.NewScanner(c); paths.Scan(); {
		if err := f(c, paths.Text()); err != nil {
			return err
		}
		if _, err := c.Write([]byte{limitEnd}); err != nil {
			return err
		}
	}
	return nil
}

// startCat starts `cat path`, and returns its output, a pipe that the caller closes.
func startCat(path string) (output *os.File, cmd *exec.Cmd, err error) {
	r, w, err := largePipe()
	if err != nil {
		return nil, nil, err
	}
	cmd = exec.Command("cat", path)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		_ = r.Close()
		return nil, nil, err
	}
	return r, cmd, nil
}

// relay sends the escaped output of `cat path`.
func relay(c net.Conn, path string, read, out []byte) error {
	r, cmd, err := startCat(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for err == nil {
		var n int
		if n, err = r.Read(read); n > 0 {
			if _, writeErr := c.Write(wire.AppendText(out, read[:n])); writeErr != nil {
				err = writeErr
			}
		}
	}
	waitErr := cmd.Wait()
	if err != io.EOF {
		return err
	}
	return waitErr
}

// largePipe returns a pipe of limitPipe bytes.
func largePipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, err
	}
	conn, err := r.SyscallConn() // File.Fd would make the descriptor blocking
	if err == nil {
		controlErr := conn.Control(func(fd uintptr) { _, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, limitPipe) })
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		_ = r.Close()
		_ = w.Close()
		return nil, nil, err
	}
	return r, w, nil
}

// limit is a child in the role limit or disk, and the connection to it.
type limit struct {
	*child
	conn net.Conn
	buf  []byte
}

// startLimit starts a child in the role limit.
func (b *bench) startLimit() (*limit, error) { return b.startRole("limit") }

// startRole starts a child in a role that connects to its first argument.
func (b *bench) startRole(role string, args ...string) (*limit, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	child, err := b.role(role, append([]string{l.Addr().String()}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := child.cmd.Start(); err != nil {
		return nil, err
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(startTimeout))
	c, err := l.Accept()
	if err != nil {
		_ = child.cmd.Process.Kill()
		return nil, errors.Join(err, child.wait())
	}
	return &limit{child: child, conn: c, buf: make([]byte, bulkBuffer)}, nil
}

// stream reads the output of `cat` of the file, and checks its length.
func (l *limit) stream(f textFile) error {
	n, err := l.request(f)
	if err == nil && n != f.escaped {
		err = fmt.Errorf("limit: %d bytes instead of %d", n, f.escaped)
	}
	return err
}

// request sends the path of the file, and returns how many bytes the child sends before limitEnd.
func (l *limit) request(f textFile) (got int64, err error) {
	if strings.Contains(f.path, "\n") {
		return 0, fmt.Errorf("newline in %q", f.path)
	}
	if _, err := io.WriteString(l.conn, f.path+"\n"); err != nil {
		return 0, err
	}
	for {
		n, err := l.conn.Read(l.buf)
		if err != nil {
			return 0, fmt.Errorf("limit: %w", unexpected(err))
		}
		got += int64(n)
		if l.buf[n-1] == limitEnd {
			return got - 1, nil
		}
	}
}

// stop ends the child and waits for it.
func (l *limit) stop() error {
	_ = l.conn.Close()
	return l.wait()
}
