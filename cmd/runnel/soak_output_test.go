//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// soakLines is how many numbered lines the commands of readers print.
const soakLines = 100_000

// soakOutput returns the checksum and the size of these lines.
var soakOutput = sync.OnceValues(func() (sum uint32, size int64) {
	var b strings.Builder
	for i := range soakLines {
		fmt.Fprintln(&b, i+1)
	}
	return crc32.ChecksumIEEE([]byte(b.String())), int64(b.Len())
})

// received is the output that a client received of a session.
type received struct {
	sum  uint32
	size int64
	lost int64
}

// events returns functions that add to the output. They are called by one goroutine.
func (r *received) events() client.Events {
	return client.Events{
		Output: func(o *client.Output) { r.add(o.Data) },
		Gap:    func(g rpc.Gap) { r.lost += g.LostBytes },
	}
}

func (r *received) add(data []byte) {
	r.sum = crc32.Update(r.sum, crc32.IEEETable, data)
	r.size += int64(len(data))
}

// expectAll returns an error unless it is the whole output of the lines.
func (r *received) expectAll(rec *rpc.Completion, err error) error {
	if err := expectRecord(rec, err, rpc.ReasonExited, 0); err != nil {
		return err
	}
	if sum, size := soakOutput(); r.sum != sum || r.size != size || r.lost != 0 {
		return fmt.Errorf("received %d bytes with checksum %x, lost %d; want %d, %x: %+v", r.size, r.sum, r.lost, size, sum, rec)
	}
	return nil
}

// expectCounted returns an error unless what was received and what gaps reported is all of it.
func (r *received) expectCounted(rec *rpc.Completion, err error) error {
	if err := expectRecord(rec, err, rpc.ReasonExited, 0); err != nil {
		return err
	}
	if r.size+r.lost != rec.Output.StdoutBytes {
		return fmt.Errorf("received %d and lost %d of %d bytes", r.size, r.lost, rec.Output.StdoutBytes)
	}
	return nil
}

// lines returns the params of a command that prints the lines.
func (a *actor) lines() rpc.ExecuteParams {
	p := argv("seq", fmt.Sprint(soakLines))
	p.Mode = oneOf(a, rpc.ModeLines, rpc.ModeRaw)
	return p
}

// fastReader receives all output of two sessions on one connection.
func (a *actor) fastReader(ctx context.Context) error {
	c, err := a.connect(ctx, "fast reader")
	if err != nil {
		return err
	}
	defer c.Close()
	errs := make([]error, 2)
	var runs sync.WaitGroup
	for i := range errs {
		p := a.lines()
		p.SessionID = a.newID()
		runs.Go(func() {
			var r received
			rec, err := c.run(ctx, p, r.events())
			errs[i] = r.expectAll(rec, err)
		})
	}
	runs.Wait()
	return errors.Join(errs...)
}

// slowReader reads slowly, but all of it: the command waits.
func (a *actor) slowReader(ctx context.Context) error {
	c, err := a.connect(ctx, "slow reader")
	if err != nil {
		return err
	}
	defer c.Close()
	c.link.slow(time.Duration(a.random.IntN(3000))*time.Microsecond, int64(1000+a.random.IntN(16<<10)))
	var r received
	rec, err := c.run(ctx, a.lines(), r.events())
	return r.expectAll(rec, err)
}

// lossyReader prefers to lose output: what it received and what gaps report is all of it.
func (a *actor) lossyReader(ctx context.Context) error {
	c, err := a.connect(ctx, "lossy reader")
	if err != nil {
		return err
	}
	defer c.Close()
	c.link.slow(2*time.Millisecond, 8<<10)
	p := a.lines()
	p.SlowClient = rpc.SlowClientDrop
	var r received
	rec, err := c.run(ctx, p, r.events())
	return r.expectCounted(rec, err)
}

// stoppedReader stops reading while its commands print without end: the server closes the
// connection, and ends them.
func (a *actor) stoppedReader(ctx context.Context) error {
	c, err := a.connect(ctx, "stopped reader")
	if err != nil {
		return err
	}
	defer c.Close()
	stopped, resume := make(chan struct{}), make(chan struct{})
	stop := sync.OnceFunc(func() { close(stopped) })
	s, err := c.execute(ctx, argv("yes"), client.Events{Output: func(*client.Output) {
		stop()
		<-resume
	}})
	if err != nil {
		close(resume)
		return err
	}
	<-stopped
	ended := make(chan error, 1)
	go func() {
		var r rpc.Captured
		ended <- a.recorder().Call(ctx, rpc.MethodWait, rpc.WaitParams{SessionID: s.ID()}, &r)
	}()
	select {
	case err = <-ended:
	case <-time.After(time.Duration(a.random.Int64N(int64(2 * soakWriteTimeout)))): // or the client goes first
		c.link.reset()
		err = <-ended
	}
	close(resume)
	return removed(err)
}

// reads follows a session by read, without subscribing to its output.
func (a *actor) reads(ctx context.Context) error {
	c, err := a.connect(ctx, "reads")
	if err != nil {
		return err
	}
	defer c.Close()
	p := a.lines()
	p.Stream = new(bool)
	s, err := c.execute(ctx, p, client.Events{})
	if err != nil {
		return err
	}
	var r received
	for after, done := int64(0), false; !done; {
		var page rpc.ReadResult
		if err := c.Call(ctx, rpc.MethodRead, rpc.ReadParams{SessionID: s.ID(), AfterSeq: after}, &page); err != nil {
			return removed(err) // on a busy machine a read may come later than the retention
		}
		if err := r.addPage(page.Events); err != nil {
			return err
		}
		after, done = page.LastSeq, page.Done
	}
	rec, err := s.Wait(ctx)
	return r.expectCounted(rec, err) // the command does not wait for the first read
}

// addPage adds the output of events, and what gaps report.
func (r *received) addPage(events []rpc.Event) error {
	for _, e := range events {
		var o struct {
			Data      string
			LostBytes int64 `json:"lost_bytes"`
		}
		if err := json.Unmarshal(e.Params, &o); err != nil {
			return err
		}
		switch e.Method {
		case rpc.NotifyOutput:
			r.add([]byte(o.Data))
		case rpc.NotifyGap:
			r.lost += o.LostBytes
		}
	}
	return nil
}

// window receives output that it acknowledges.
func (a *actor) window(ctx context.Context) error {
	c, err := a.connect(ctx, "window")
	if err != nil {
		return err
	}
	defer c.Close()
	var r received
	e := r.events()
	e.Window = int64(4<<10 + a.random.IntN(128<<10))
	rec, err := c.run(ctx, a.lines(), e)
	return r.expectAll(rec, err)
}
