//go:build linux

// Command runnel-bench measures the runnel program. It builds the binary, runs `runnel serve` as a
// process of its own, measures it in turns with what bounds it on the same machine, and prints a
// table. It is not part of a release.
//
// Its clients are in this process and in children of it, never in that of the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	runRole()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "runnel-bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	server  string
	against string
	codex   string
	only    string
	write   string
	quick   bool
	check   bool
}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("runnel-bench", flag.ContinueOnError)
	flags.StringVar(&o.server, "server", "", "measure the binary at `PATH` instead of building one")
	flags.StringVar(&o.against, "against", "", "also measure the binary at `PATH`, in turns with the first")
	flags.StringVar(&o.codex, "codex", "", "the measurement codex also measures the exec-server of the command line of Codex at `PATH`, which -check ignores")
	flags.StringVar(&o.only, "only", "", "run only these comma-separated measurements: "+strings.Join(names(), ", "))
	flags.StringVar(&o.write, "write", "", "write the table and the plots to the page at `PATH`; excludes the flags below and -against")
	flags.BoolVar(&o.quick, "quick", false, "run few rounds with little data")
	flags.BoolVar(&o.check, "check", false, "fail if a time or a rate misses its target by more than a factor of three, or by more than what is checked of it, in each of four measurements while the machine is not busy")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.write != "" && (o.only != "" || o.quick || o.against != "") {
		return o, errors.New("-write excludes -only, -quick and -against")
	}
	for _, name := range o.names() {
		if !slices.Contains(names(), name) {
			return o, fmt.Errorf("-only: there is no measurement %q", name)
		}
	}
	return o, nil
}

// names returns the names of the measurements to run.
func (o *options) names() []string {
	if o.only == "" {
		return names()
	}
	return strings.Split(o.only, ",")
}

// run measures what the arguments select, and writes the table to out as the figures are known.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, &o)
	if err != nil {
		return err
	}
	defer b.close()
	table := newTable(out, b.programs)
	all, err := b.measure(&o, table.add)
	if err != nil {
		return err
	}
	if o.write != "" {
		err = writeDocument(o.write, all)
	}
	return err
}

// measure runs the measurements that the options select, and calls add with the report of each.
// After an error it goes on with the next one.
func (b *bench) measure(o *options, add func(report) error) (all report, err error) {
	for _, m := range measurements {
		if b.ctx.Err() != nil || !slices.Contains(o.names(), m.name) {
			continue
		}
		measureOnce := func() (report, error) { return b.measureOne(m, add) }
		r, runErr := measureOnce()
		if runErr == nil && o.check {
			runErr = checkTimings(r, measureOnce)
		}
		if runErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", m.name, runErr))
		}
		all.figures, all.plots = append(all.figures, r.figures...), append(all.plots, r.plots...)
		all.others = max(all.others, r.others)
	}
	return all, errors.Join(err, b.ctx.Err())
}

// measureOne runs a measurement, and measures what other processes do meanwhile.
func (b *bench) measureOne(m measurement, add func(report) error) (r report, err error) {
	others, err := newOthersMeter()
	if err != nil {
		return r, err
	}
	if r, err = m.run(b); err != nil {
		return r, err
	}
	if r.others, err = others.share(); err != nil {
		return r, err
	}
	return r, add(r)
}
