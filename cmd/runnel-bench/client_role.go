//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// inputPiece is the size of the pieces of input, as in `runnel run`.
const inputPiece = 64 << 10

// clientRole is a Go client. Its argument is the URL of a server. It reads lines with an operation
// and its argument from stdin, and writes a line for each with the nanoseconds that it took.
func clientRole(args []string) error {
	if len(args) != 1 {
		return errors.New("the argument is a URL")
	}
	c, err := client.Dial(context.Background(), args[0], client.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		operation, arg, _ := strings.Cut(lines.Text(), " ")
		begin := time.Now()
		switch operation {
		case "output":
			err = receiveOutput(c, arg)
		case "input":
			err = sendInput(c, arg)
		default:
			err = fmt.Errorf("unknown operation %q", operation)
		}
		if err != nil {
			return err
		}
		fmt.Println(time.Since(begin).Nanoseconds())
	}
	return nil
}

// receiveOutput receives the output of `cat path`.
func receiveOutput(c *client.Client, path string) error {
	var got int64
	p := rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"cat", path}}}
	s, err := c.Execute(context.Background(), p, client.Events{Output: func(o *client.Output) { got += int64(len(o.Data)) }})
	if err != nil {
		return err
	}
	r, err := s.Wait(context.Background())
	if err == nil && (r.Output.StdoutBytes != got || got == 0) {
		err = fmt.Errorf("received %d bytes of %d", got, r.Output.StdoutBytes)
	}
	return err
}

// sendInput writes so many bytes to a command that reads them, as `runnel run` does.
func sendInput(c *client.Client, size string) error {
	left, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	p := rpc.ExecuteParams{Command: rpc.Command{Shell: "cat >/dev/null"}, Stdin: rpc.StdinPipe}
	s, err := c.Execute(context.Background(), p, client.Events{})
	if err != nil {
		return err
	}
	line := append(bytes.Repeat([]byte("x"), 100), '\n')
	text := bytes.Repeat(line, inputPiece/len(line)+1)[:inputPiece]
	w := s.StdinWriter(context.Background())
	for left > 0 {
		n := min(left, len(text))
		if _, err := w.Write(text[:n]); err != nil {
			return err
		}
		left -= n
	}
	if err := w.Close(); err != nil {
		return err
	}
	r, err := s.Wait(context.Background())
	if err == nil && (r.ExitCode == nil || *r.ExitCode != 0) {
		err = errors.New("the command failed")
	}
	return err
}

// goClient is a child in the role client.
type goClient struct {
	*child
	in    io.WriteCloser
	lines *bufio.Scanner
}

func (b *bench) startClient(url string) (*goClient, error) {
	child, err := b.role("client", url)
	if err != nil {
		return nil, err
	}
	in, err := child.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := child.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &goClient{child: child, in: in, lines: bufio.NewScanner(out)}, child.cmd.Start()
}

// run lets the client do an operation, and returns how long it took.
func (c *goClient) run(operation string) (time.Duration, error) {
	if _, err := io.WriteString(c.in, operation+"\n"); err != nil {
		return 0, err
	}
	if !c.lines.Scan() {
		return 0, fmt.Errorf("client: %w", unexpected(io.EOF))
	}
	n, err := strconv.ParseInt(c.lines.Text(), 10, 64)
	return time.Duration(n), err
}

func (c *goClient) stop() error {
	_ = c.in.Close()
	return c.wait()
}
