//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/rpc"
)

// most returns how many sessions the server can have, at most limit, by the descriptors that those
// which it has use. Some descriptors are left for what it does with them.
func (i *idle) most(before, limit int) (int, error) {
	const spare = 200
	now, files, err := openFiles(i.server.pid)
	if err != nil {
		return 0, err
	}
	each := float64(now-before) / float64(len(i.ids))
	n := min(limit, int(float64(files-spare-before)/each))
	return n / idlePerConn * idlePerConn, nil
}

// raiseFileLimit permits the server the descriptors of 10,000 sessions, three for each, if the
// hard limit may be raised (CAP_SYS_RESOURCE, setrlimit(2)). Else fewer sessions are measured.
func (i *idle) raiseFileLimit() {
	const files = 40000
	var now unix.Rlimit
	if unix.Prlimit(i.server.pid, unix.RLIMIT_NOFILE, nil, &now) == nil && now.Cur < files {
		_ = unix.Prlimit(i.server.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: max(files, now.Max)}, nil)
	}
}

// steps are the numbers of sessions of the plot of memory.
func (b *bench) steps() []int {
	if b.quick {
		return []int{100, 300}
	}
	return []int{100, 300, 1000, 3000, 10000}
}

// manySessions measures the memory of a server by the number of its sessions, and how long a
// control takes when it has as many as its descriptors allow, at most 10,000.
func manySessions(b *bench) (report, error) {
	var r report
	memory := plot{title: "Memory of a server with idle sessions", x: "sessions, ten per connection", y: "private memory, MiB", file: "memory.svg"}
	var each []float64
	status, list := newSeries(len(b.programs)), newSeries(len(b.programs))
	fewest := 0
	for n, p := range b.programs {
		points, times, err := b.measureMany(p)
		if err != nil {
			return r, err
		}
		status.programs[n], list.programs[n] = times[0], times[1]
		memory.curves = append(memory.curves, curve{name: "runnel serve", points: points})
		first, last := points[0], points[len(points)-1]
		each = append(each, (last.y-first.y)*1024/last.x)
		if fewest == 0 || int(last.x) < fewest {
			fewest = int(last.x)
		}
	}
	with := fmt.Sprintf("with %d idle sessions, ", fewest)
	r.figures = []figure{
		{what: with + "memory of each", values: each, unit: "KiB", detail: "private memory"},
		{what: with + "status p99", values: status.quantiles(0.99), unit: "ms", goal: atMost(1), timing: true, detail: "p50 " + join(status.medians(), "%.2f") + " ms"},
		{what: with + "list of 100 p99", values: list.quantiles(0.99), unit: "ms", goal: atMost(5), timing: true, detail: "p50 " + join(list.medians(), "%.2f") + " ms"},
	}
	memory.curves = memory.curves[:1]
	r.plots = []plot{memory}
	return r, nil
}

// measureMany returns the private memory in MiB by the number of sessions, and the times of status
// and list with the largest number in ms.
func (b *bench) measureMany(p program) (points []point, times [2]samples, err error) {
	i, err := b.startIdle(p)
	if err != nil {
		return nil, times, err
	}
	defer i.undo.run(&err)
	i.raiseFileLimit()
	memory := func() error {
		kib, err := i.memory()
		points = append(points, point{x: float64(len(i.ids)), y: float64(kib) / 1024})
		return err
	}
	before, _, err := openFiles(i.server.pid)
	if err = errors.Join(err, memory()); err != nil {
		return nil, times, err
	}
	for _, n := range b.steps() {
		if len(i.ids) > 0 {
			if n, err = i.most(before, n); err != nil {
				return nil, times, err
			}
		}
		if err := errors.Join(i.sessions(n-len(i.ids)), memory()); err != nil {
			return nil, times, err
		}
	}
	times, err = i.timeControls(b.rounds(2000, 500))
	return points, times, err
}

// timeControls returns the times of so many requests of status, and of list, in ms.
func (i *idle) timeControls(n int) (times [2]samples, err error) {
	c, err := i.server.dial(smallBuffer)
	if err != nil {
		return times, err
	}
	defer c.Close()
	for n := range n {
		begin := time.Now()
		if err := c.call(rpc.MethodStatus, map[string]any{"session_id": i.ids[n*7919%len(i.ids)]}, nil); err != nil {
			return times, err
		}
		times[0].add(time.Since(begin), time.Millisecond)
	}
	for range n / 4 {
		begin := time.Now()
		if err := c.call(rpc.MethodList, map[string]any{"limit": 100}, nil); err != nil {
			return times, err
		}
		times[1].add(time.Since(begin), time.Millisecond)
	}
	return times, i.b.ctx.Err()
}
