//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program is a binary to measure.
type program struct {
	name string // in the table
	path string
}

// bench is one run of this program.
type bench struct {
	ctx      context.Context // canceled by a signal
	programs []program       // the one to measure, and that of -against
	dir      string          // temporary files
	codex    string          // the command line of Codex; "" for none
	quick    bool
}

// newBench builds the binary, unless one is given.
func newBench(ctx context.Context, o *options) (*bench, error) {
	dir, err := os.MkdirTemp("", "runnel-bench")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, dir: dir, codex: o.codex, quick: o.quick}
	path := o.server
	if path == "" {
		path = filepath.Join(dir, "runnel")
		err = build(ctx, path)
	}
	b.programs = append(b.programs, program{name: "result", path: path})
	if o.against != "" {
		b.programs = append(b.programs, program{name: "against", path: o.against})
	}
	for i := range b.programs {
		if err == nil {
			b.programs[i].path, err = filepath.Abs(b.programs[i].path)
		}
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// build builds the program of this module as a release is built.
func build(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/runnel-rpc/runnel/cmd/runnel").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

// environ is the environment of all children but servers.
func (b *bench) environ() []string { return environ(b.dir) }

// environ is the environment of a child: no variable that configures the program or its Go runtime.
func environ(home string) []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home} }

// rounds returns how often to repeat a measurement.
func (b *bench) rounds(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

// megabytes returns a number of bytes to stream.
func (b *bench) megabytes(full, quick int) int {
	return b.rounds(full, quick) << 20
}

// startUntil starts a server of a program, which undo stops.
func (b *bench) startUntil(undo *cleanup, p program, flags ...string) (*server, error) {
	s, err := b.start(p, flags...)
	if err == nil {
		undo.add(s.stop)
	}
	return s, err
}

// startSecured is startUntil for a server whose clients have a token.
func (b *bench) startSecured(undo *cleanup, p program, token string, flags ...string) (*server, error) {
	s, err := b.startWith(p, token, flags...)
	if err == nil {
		undo.add(s.stop)
	}
	return s, err
}

// startAll starts a server of each program. undo stops them.
func (b *bench) startAll(undo *cleanup, flags ...string) (all []*server, err error) {
	for _, p := range b.programs {
		s, err := b.startUntil(undo, p, flags...)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
