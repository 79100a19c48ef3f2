//go:build linux

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	sharedEach   = 100
	sharedWarmUp = 300 * time.Millisecond
	// sharedIdle is longer than the server counts a principal as active after its last output.
	sharedIdle = 1200 * time.Millisecond
)

// shared measures what a principal gets beside another one that uses all that it may: the time of
// `true`, and the throughput of lines.
func shared(b *bench) (r report, err error) {
	figures := []figure{
		{what: fmt.Sprintf("execute of true, p99, beside %d connections of another principal", crowdConnections), goal: atMost(3)},
		{what: fmt.Sprintf("execute of true, p99, beside %d sessions of another one whose logs are full", crowdConnections-1), goal: atMost(3)},
		{what: fmt.Sprintf("100-byte lines, throughput beside the output of %d sessions of another one", floodStreams), goal: atLeast(0.5)},
	}
	units, verbs := []string{"ms", "ms", "MB/s"}, []string{"%.2f", "%.2f", "%.0f"}
	beside, alone := make([][]float64, len(figures)), make([][]float64, len(figures))
	for _, p := range b.programs {
		if !p.hasFlags(b, "--tokens", "--shared-user") {
			return r, nil // an older program of -against
		}
		all, err := b.measureShared(p)
		if err != nil {
			return r, err
		}
		for i, v := range all {
			figures[i].values = append(figures[i].values, v.beside.ratios(v.alone).median())
			beside[i], alone[i] = append(beside[i], v.beside.median()), append(alone[i], v.alone.median())
		}
	}
	for i := range figures {
		f := &figures[i]
		f.versus, f.timing = "alone", true
		f.detail = fmt.Sprintf("%s %s / %s %s", join(beside[i], verbs[i]), units[i], join(alone[i], verbs[i]), units[i])
	}
	return report{figures: figures}, nil
}

// sharedValues are those of each round.
type sharedValues struct{ alone, beside samples }

// measureShared returns the values of the figures of shared.
func (b *bench) measureShared(p program) (all [3]sharedValues, err error) {
	var undo cleanup
	defer undo.run(&err)
	file, err := b.lines(100, b.megabytes(128, 64))
	if err != nil {
		return all, err
	}
	s, err := b.startShared(&undo, p)
	if err != nil {
		return all, err
	}
	throughput := func() (float64, error) {
		begin := time.Now()
		err := s.conn.stream(file)
		return float64(file.size) / 1e6 / time.Since(begin).Seconds(), err
	}
	if all[0], err = s.compare(b.rounds(15, 3), crowdExecutes, s.p99); err != nil {
		return all, err
	}
	if all[1], err = s.besideFullLogs(); err != nil {
		return all, err
	}
	time.Sleep(sharedIdle)
	all[2], err = s.compare(b.rounds(9, 3), crowdStreams, throughput)
	return all, err
}

// besideFullLogs returns the p99 of `true`, and checks that the other principal has evicted no log of
// this one.
func (s *sharedServer) besideFullLogs() (v sharedValues, err error) {
	own, err := s.conn.executeFill()
	if err != nil {
		return v, err
	}
	if err := s.crowd.tell("fill"); err != nil {
		return v, err
	}
	if v, err = s.compare(s.b.rounds(9, 3), crowdFloods, s.p99); err != nil {
		return v, err
	}
	kept, err := s.conn.keeps(own)
	if err == nil && !kept {
		err = errors.New("another principal has evicted a log")
	}
	return v, err
}

// compare measures something alone and beside what the crowd does, in turns.
func (s *sharedServer) compare(rounds int, what string, measure func() (float64, error)) (v sharedValues, err error) {
	for round := range rounds + 1 {
		alone, err := measure()
		if err != nil {
			return v, err
		}
		if err := s.crowd.tell(what); err != nil {
			return v, err
		}
		time.Sleep(sharedWarmUp)
		beside, err := measure()
		if err != nil {
			return v, err
		}
		if err := s.crowd.tell("stop"); err != nil {
			return v, err
		}
		if what == crowdStreams {
			time.Sleep(sharedIdle)
		}
		if round > 0 {
			v.alone, v.beside = append(v.alone, alone), append(v.beside, beside)
		}
	}
	return v, nil
}

// p99 returns that of sharedEach executions of true in milliseconds.
func (s *sharedServer) p99() (float64, error) {
	var times samples
	for range sharedEach {
		begin := time.Now()
		if _, err := s.conn.execute(nil, "true"); err != nil {
			return 0, err
		}
		times.add(time.Since(begin), time.Millisecond)
		if s.b.ctx.Err() != nil {
			return 0, s.b.ctx.Err()
		}
	}
	return times.quantile(0.99), nil
}

// sharedServer has what the two principals of a server do: the crowd, and a connection of the other
// one.
type sharedServer struct {
	b     *bench
	crowd *crowd
	conn  *conn
}

// startShared starts a server with two principals.
func (b *bench) startShared(undo *cleanup, p program) (*sharedServer, error) {
	dir, err := os.MkdirTemp(b.dir, "shared")
	if err != nil {
		return nil, err
	}
	tokens, text := filepath.Join(dir, "tokens"), ""
	for _, name := range []string{"one", "crowd"} {
		text += fmt.Sprintf("[[token]]\nname = %q\nsha256 = \"%x\"\n\n", name, sha256.Sum256([]byte(dir+name)))
	}
	if err := os.WriteFile(tokens, []byte(text), 0o600); err != nil {
		return nil, err
	}
	flags := []string{"--tokens=" + tokens, "--shared-user", "--max-retained=10000"}
	if p.hasFlags(b, "--spool-dir") {
		flags = append(flags, "--spool-dir=") // logs fill the memory only if what is evicted is lost
	}
	s, err := b.startSecured(undo, p, dir+"one", flags...)
	if err != nil {
		return nil, err
	}
	c, err := b.startCrowd(s.address, dir+"crowd")
	if err != nil {
		return nil, err
	}
	undo.add(c.stop)
	if err := c.expect(); err != nil {
		return nil, err
	}
	own, err := s.dialUntil(undo, bulkBuffer)
	return &sharedServer{b: b, crowd: c, conn: own}, err
}
