//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// compareCodexServer compares Codex's own server with /codex of Runnel servers: how many times as long
// `true` takes. Both have the same client, which acknowledges at once what it receives: with delayed
// acknowledgments Codex's server, which does not set TCP_NODELAY, takes 40 ms more.
func (b *bench) compareCodexServer(servers []*server) (f figure, err error) {
	var undo cleanup
	defer undo.run(&err)
	times := newSeries(len(servers))
	address, err := b.startCodexServer(&undo)
	if err != nil {
		return f, err
	}
	c, err := dialCodex(&undo, address, "/", smallBuffer, quickAcks)
	if err != nil {
		return f, err
	}
	turns := []func() error{c.timeTrue(&times.limit)}
	for i, s := range servers {
		c, err := dialCodex(&undo, s.address, "/codex", smallBuffer, quickAcks)
		if err != nil {
			return f, err
		}
		turns = append(turns, c.timeTrue(&times.programs[i]))
	}
	if err := b.repeat(b.rounds(1000, 100), turns, &times); err != nil {
		return f, err
	}
	f = figure{what: "true by the exec-server of Codex, p50", versus: "/codex", goal: atLeast(5)}
	other := times.limit.median()
	for _, own := range times.medians() {
		f.values = append(f.values, other/own)
	}
	f.detail = fmt.Sprintf("%.0f µs / %s µs", other, join(times.medians(), "%.0f"))
	return f, nil
}

// startCodexServer starts `codex exec-server` on a free port of loopback TCP, which undo stops, and
// returns its address.
func (b *bench) startCodexServer(undo *cleanup) (address string, err error) {
	home, err := os.MkdirTemp(b.dir, "codex")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(b.ctx, b.codex, "exec-server", "--listen", "ws://127.0.0.1:0")
	cmd.Env, cmd.Stderr = append(environ(home), "CODEX_HOME="+home), os.Stderr
	terminate := func() error { return cmd.Process.Signal(unix.SIGTERM) } // which the script that npm installs passes on
	cmd.Cancel, cmd.WaitDelay = terminate, stopTimeout
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	undo.add(func() error {
		_ = terminate()
		_ = cmd.Wait() // the signal ends it
		return nil
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s exec-server printed no URL: %w", filepath.Base(b.codex), err)
	}
	u, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// quickAcks is a reader that lets the kernel acknowledge at once what it receives (TCP_QUICKACK, tcp(7)),
// which the kernel forgets from time to time.
func quickAcks(c net.Conn) io.Reader { return quickAckReader{c.(*net.TCPConn)} }

type quickAckReader struct{ c *net.TCPConn }

func (r quickAckReader) Read(p []byte) (int, error) {
	raw, err := r.c.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	if err = errors.Join(err, controlErr); err != nil {
		return 0, err
	}
	return r.c.Read(p)
}
