//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	// crowdConnections is as many as one of two principals may have by default.
	crowdConnections = 75
	// floodStreams is how many sessions of a crowd have output at the same time if it is read.
	floodStreams = 8
	// fillBytes is the output of each session that fills the memory of logs: nearly what a log keeps.
	fillBytes = 1_000_000
	// maxFill is the most such sessions. They have more output than all logs keep.
	maxFill = 500
	// overwritten is the output after which a log is full.
	overwritten = 2 << 20
)

// What a crowd can do.
const (
	crowdExecutes = "execute" // true in a loop on each connection
	crowdFloods   = "flood"   // sessions with output as fast as possible that nobody reads: their logs are overwritten
	crowdStreams  = "stream"  // floodStreams such sessions, and the crowd reads the output
)

// crowd is a child in the role crowd, a principal with many connections. It has nice 19, and so have
// its commands with output, so that the clients of the other principal do not wait for a processor
// because of it.
type crowd struct {
	*child
	in    io.WriteCloser
	lines *bufio.Scanner
}

func (b *bench) startCrowd(address, token string) (*crowd, error) {
	child, err := b.role("crowd", address, token)
	if err != nil {
		return nil, err
	}
	niced := exec.Command("nice", append([]string{"-n", "19"}, child.cmd.Args...)...)
	niced.Env, niced.Stderr = child.cmd.Env, child.cmd.Stderr
	child.cmd = niced
	in, err := niced.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := niced.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &crowd{child: child, in: in, lines: bufio.NewScanner(out)}, niced.Start()
}

// tell lets the crowd do something or stop, and waits until it does.
func (c *crowd) tell(what string) error {
	if _, err := io.WriteString(c.in, what+"\n"); err != nil {
		return err
	}
	return c.expect()
}

func (c *crowd) expect() error {
	if !c.lines.Scan() {
		return fmt.Errorf("crowd: %w", unexpected(io.EOF))
	}
	return nil
}

func (c *crowd) stop() error {
	_ = c.in.Close()
	return c.wait()
}

// crowdRole has crowdConnections connections to the server at an address. It writes a line when they
// are there, and answers each line of stdin by one: `fill`, what it is to do, or `stop`.
func crowdRole(args []string) error {
	if len(args) != 2 {
		return errors.New("the arguments are an address and a token")
	}
	s := &server{address: args[0], token: args[1]}
	m := &crowdMembers{errs: make(chan error, crowdConnections)}
	for range crowdConnections {
		c, err := s.dial(smallBuffer)
		if err != nil {
			return err
		}
		defer c.Close()
		m.conns = append(m.conns, c)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := m.do(lines.Text()); err != nil {
			return err
		}
		fmt.Println(lines.Text())
	}
	return nil
}

// crowdMembers are the connections of a crowd and what they do.
type crowdMembers struct {
	conns    []*conn
	stop     chan struct{} // closed to end the loops of executeUntil
	sessions []string      // that have output
	running  int           // goroutines, each of which sends an error
	errs     chan error
}

func (m *crowdMembers) do(what string) error {
	switch what {
	case "fill":
		return m.fill()
	case crowdExecutes:
		stop := make(chan struct{})
		for _, c := range m.conns {
			m.run(func() error { return executeUntil(c, stop) })
		}
		m.stop = stop
		return nil
	case crowdFloods:
		return m.flood(m.conns[1:], false)
	case crowdStreams:
		return m.flood(m.conns[1:][:floodStreams], true)
	default:
		return m.end()
	}
}

func (m *crowdMembers) run(f func() error) {
	m.running++
	go func() { m.errs <- f() }()
}

// end ends what the crowd does.
func (m *crowdMembers) end() error {
	if m.stop != nil {
		close(m.stop)
		m.stop = nil
	}
	for _, id := range m.sessions {
		p := map[string]any{"session_id": id, "type": rpc.ControlCancel, "grace": 0}
		if err := m.conns[0].call(rpc.MethodControl, p, nil); err != nil {
			return err
		}
	}
	m.sessions = nil
	for ; m.running > 0; m.running-- {
		if err := <-m.errs; err != nil {
			return err
		}
	}
	return nil
}

// executeUntil executes true in a loop.
func executeUntil(c *conn, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := c.execute(nil, "true"); err != nil {
			return err
		}
	}
}

// flood starts a session with endless output on each connection, and returns when all their logs have
// been overwritten. The first connection is not one of them.
func (m *crowdMembers) flood(conns []*conn, read bool) error {
	// Each session is an autogroup of the scheduler, among which nice(2) makes no difference (sched(7)).
	const script = `echo 19 >/proc/self/autogroup; exec nice -n 19 yes "$0"`
	command := []string{"sh", "-c", script, strings.Repeat("x", 99)}
	for _, c := range conns {
		var r rpc.ExecuteResult
		if err := c.call(rpc.MethodExecute, map[string]any{"command": command, "stream": read}, &r); err != nil {
			return err
		}
		m.sessions = append(m.sessions, r.SessionID)
		m.run(func() error { return c.untilCompleted() })
	}
	for _, id := range m.sessions {
		for {
			var s rpc.StatusResult
			if err := m.conns[0].call(rpc.MethodStatus, rpc.SessionParams{SessionID: id}, &s); err != nil {
				return err
			}
			if s.Output.StdoutBytes > overwritten {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// untilCompleted reads up to the completion record of the only session.
func (c *conn) untilCompleted() error {
	for {
		if m, err := c.next(); err != nil || bytes.HasPrefix(m.text, completedStart) {
			return err
		}
	}
}

// fill executes commands until the log of the first of them has been evicted, so that the logs of the
// principal use all memory that they may.
func (m *crowdMembers) fill() error {
	oldest := ""
	for range maxFill {
		id, err := m.conns[0].executeFill()
		if err != nil {
			return err
		}
		if oldest == "" {
			oldest = id
		}
		if kept, err := m.conns[0].keeps(oldest); err != nil || !kept {
			return err
		}
	}
	return fmt.Errorf("%d sessions do not fill the memory of logs", maxFill)
}

// executeFill executes a command whose output of fillBytes nobody reads, and returns its session.
func (c *conn) executeFill() (id string, err error) {
	var r rpc.ExecuteResult
	p := map[string]any{"command": []string{"head", "-c", fmt.Sprint(fillBytes), "/dev/zero"}, "wait": true, "capture_bytes": 0}
	err = c.call(rpc.MethodExecute, p, &r)
	return r.SessionID, err
}

// keeps reports whether the log of an ended session has its first output.
func (c *conn) keeps(id string) (bool, error) {
	var r rpc.ReadResult
	if err := c.call(rpc.MethodRead, map[string]any{"session_id": id, "max_bytes": 1}, &r); err != nil {
		return false, err
	}
	return !slices.ContainsFunc(r.Events, func(e rpc.Event) bool { return e.Method == rpc.NotifyGap }), nil
}
