//go:build linux

package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	crowdConnections = 75 // as many as one of two principals may have by default
	sharedEach       = 100
	sharedWarmUp     = 300 * time.Millisecond
)

// shared compares the time of `true` beside another principal that executes `true` on all its
// connections with the same without.
func shared(b *bench) (r report, err error) {
	f := figure{
		what:   fmt.Sprintf("execute of true, p99, beside %d connections of another principal", crowdConnections),
		versus: "alone", goal: atMost(3), timing: true,
	}
	var with, without []float64
	for _, p := range b.programs {
		if !p.hasFlags(b, "--tokens", "--shared-user") {
			return r, nil // an older program of -against
		}
		times, err := b.timeShared(p)
		if err != nil {
			return r, err
		}
		f.values = append(f.values, times.beside.ratios(times.alone).median())
		with, without = append(with, times.beside.median()), append(without, times.alone.median())
	}
	f.detail = fmt.Sprintf("%s ms / %s ms", join(with, "%.2f"), join(without, "%.2f"))
	return report{figures: []figure{f}}, nil
}

// sharedTimes are the p99 of each round in milliseconds.
type sharedTimes struct{ alone, beside samples }

func (b *bench) timeShared(p program) (times sharedTimes, err error) {
	var undo cleanup
	defer undo.run(&err)
	crowd, s, err := b.startShared(&undo, p)
	if err != nil {
		return times, err
	}
	c, err := s.dialUntil(&undo, smallBuffer)
	if err != nil {
		return times, err
	}
	for round := range b.rounds(15, 3) + 1 {
		alone, err := b.p99(c)
		if err != nil {
			return times, err
		}
		if err := crowd.tell("start"); err != nil {
			return times, err
		}
		time.Sleep(sharedWarmUp)
		beside, err := b.p99(c)
		if err != nil {
			return times, err
		}
		if err := crowd.tell("stop"); err != nil {
			return times, err
		}
		if round > 0 {
			times.alone, times.beside = append(times.alone, alone), append(times.beside, beside)
		}
	}
	return times, nil
}

// p99 returns that of sharedEach executions of true in milliseconds.
func (b *bench) p99(c *conn) (float64, error) {
	var times samples
	for range sharedEach {
		begin := time.Now()
		if _, err := c.execute(nil, "true"); err != nil {
			return 0, err
		}
		times.add(time.Since(begin), time.Millisecond)
		if b.ctx.Err() != nil {
			return 0, b.ctx.Err()
		}
	}
	return times.quantile(0.99), nil
}

// startShared starts a server with two principals, and the crowd, which is one of them. The clients
// of the server are the other one.
func (b *bench) startShared(undo *cleanup, p program) (*crowd, *server, error) {
	dir, err := os.MkdirTemp(b.dir, "shared")
	if err != nil {
		return nil, nil, err
	}
	tokens, text := filepath.Join(dir, "tokens"), ""
	for _, name := range []string{"one", "crowd"} {
		text += fmt.Sprintf("[[token]]\nname = %q\nsha256 = \"%x\"\n\n", name, sha256.Sum256([]byte(dir+name)))
	}
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	s, err := b.startSecured(undo, p, dir+"one", "--tokens="+tokens, "--shared-user")
	if err != nil {
		return nil, nil, err
	}
	c, err := b.startCrowd(s.address, dir+"crowd")
	if err != nil {
		return nil, nil, err
	}
	undo.add(c.stop)
	return c, s, c.expect()
}

// crowd is a child in the role crowd. It has nice 19, so that the clients of the other principal do
// not wait for a processor because of it.
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

// tell lets the crowd start or stop, and waits until it has.
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
// are there. Each executes true in a loop between the lines start and stop of stdin, both of which are
// answered by a line.
func crowdRole(args []string) error {
	if len(args) != 2 {
		return errors.New("the arguments are an address and a token")
	}
	s := &server{address: args[0], token: args[1]}
	var conns []*conn
	for range crowdConnections {
		c, err := s.dial(smallBuffer)
		if err != nil {
			return err
		}
		defer c.Close()
		conns = append(conns, c)
	}
	fmt.Println("ready")
	stop := make(chan struct{})
	errs := make(chan error, crowdConnections)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "start" {
			stop = make(chan struct{})
			for _, c := range conns {
				go func() { errs <- executeUntil(c, stop) }()
			}
		} else {
			close(stop)
			for range conns {
				if err := <-errs; err != nil {
					return err
				}
			}
		}
		fmt.Println(lines.Text())
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
