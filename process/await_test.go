//go:build linux

package process

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
	"github.com/runnel-rpc/runnel/process/internal/watch"
)

// counting counts how often a tree is checked.
type counting struct {
	containment.Tree
	checks atomic.Int32
	full   atomic.Bool // whether there is no free descriptor during a call
	t      *testing.T
}

func (c *counting) Alive() (bool, error) {
	c.checks.Add(1)
	defer c.fill()()
	return c.Tree.Alive()
}

func (c *counting) Watch() *watch.Watch {
	defer c.fill()()
	return c.Tree.Watch()
}

// fill takes all descriptors. It does so for each call, since others may be closed meanwhile.
func (c *counting) fill() (free func()) {
	if !c.full.Load() {
		return func() {}
	}
	return proctest.FillDescriptors(c.t)
}

func eachContainment(t *testing.T, f func(t *testing.T, h *Host)) {
	eachHost(t, f)
	t.Run(string(Group), func(t *testing.T) { f(t, openHost(t, Group)) })
}

// startOutliving starts a tree whose leader has exited and whose other process runs until the end
// of the tree's stdin.
func startOutliving(t *testing.T, h *Host, script string) (*Process, *counting) {
	t.Helper()
	spec := sh("exec 3<&0; " + script + " & echo ready")
	spec.Stdin = true
	p := startOn(t, h, spec)
	c := &counting{Tree: p.tree, t: t}
	p.tree = c
	readLine(t, p.Stdout())
	if err := p.WaitExit(); err != nil {
		t.Fatal(err)
	}
	return p, c
}

// await waits for the tree in a goroutine.
func await(p *Process, ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		p.AwaitTree(ctx)
		close(over)
	}()
	return over
}

func checkReturns(t *testing.T, over <-chan struct{}, p *Process) {
	t.Helper()
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatal("AwaitTree does not return")
	}
	if left, err := p.Members(); len(left) > 0 || err != nil {
		t.Errorf("Members() = %v, %v", left, err)
	}
}

// TestAwaitTree checks that a tree that is awaited is checked only when one of its processes has
// ended.
func TestAwaitTree(t *testing.T) {
	scripts := map[string]string{
		"one process":                     "cat <&3",
		"one after the other":             "(cat <&3; sleep 0.1; sleep 0.1)",
		"the first ends before the other": "(sleep 0.1 & cat <&3; wait)",
		"one that forks all the time":     "(cat <&3 & while kill -0 $!; do sleep 0.001; done 2>/dev/null)",
		"another session":                 "setsid sh -c 'cat <&3'",
	}
	eachContainment(t, func(t *testing.T, h *Host) {
		for name, script := range scripts {
			if name == "another session" && h.Containment() == Group {
				continue // setsid leaves the tree
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p, tree := startOutliving(t, h, script)
				over := await(p, context.Background())
				time.Sleep(400 * time.Millisecond) // in which polling would check it seven times
				select {
				case <-over:
					t.Error("AwaitTree returns while a process runs")
				default:
				}
				if n := tree.checks.Load(); n > 3 {
					t.Errorf("the tree was checked %d times", n)
				}
				_ = p.Stdin().Close()
				checkReturns(t, over, p)
			})
		}
	})
}

// TestAwaitTreeWithoutDescriptors checks that AwaitTree polls the tree if there is no free
// descriptor.
func TestAwaitTreeWithoutDescriptors(t *testing.T) {
	eachContainment(t, func(t *testing.T, h *Host) {
		p, tree := startOutliving(t, h, "cat <&3")
		tree.full.Store(true)
		ctx, cancel := context.WithCancel(context.Background())
		over := await(p, ctx)
		if !poll(func() bool { return tree.checks.Load() > 2 }) {
			t.Error("AwaitTree does not check the tree")
		}
		cancel()
		<-over
		over = await(p, context.Background())
		_ = p.Stdin().Close()
		checkReturns(t, over, p)
	})
}

func TestAwaitTreeEndsWithItsContext(t *testing.T) {
	eachContainment(t, func(t *testing.T, h *Host) {
		p, tree := startOutliving(t, h, "cat <&3")
		ctx, cancel := context.WithCancel(context.Background())
		over := await(p, ctx)
		if !poll(func() bool { return tree.checks.Load() > 0 }) {
			t.Error("AwaitTree does not check the tree")
		}
		cancel()
		<-over
		if left, err := p.Members(); len(left) != 1 {
			t.Errorf("Members() = %v, %v", left, err)
		}
	})
}

// TestAwaitedTreesHoldNoThreads checks that AwaitTree holds no thread.
func TestAwaitedTreesHoldNoThreads(t *testing.T) {
	const trees = 30
	threads := func() int {
		list, _ := os.ReadDir("/proc/self/task")
		return len(list)
	}
	eachContainment(t, func(t *testing.T, h *Host) {
		before := threads()
		var all []*Process
		var over []<-chan struct{}
		for range trees {
			p, tree := startOutliving(t, h, "cat <&3")
			all = append(all, p)
			over = append(over, await(p, context.Background()))
			if !poll(func() bool { return tree.checks.Load() > 0 }) {
				t.Error("AwaitTree does not check the tree")
			}
		}
		if n := threads() - before; n > trees/2 {
			t.Errorf("%d threads more", n)
		}
		for i, p := range all {
			_ = p.Stdin().Close()
			checkReturns(t, over[i], p)
		}
	})
}

// BenchmarkAwaitedEnd measures the time from the exit of the last process to the return of
// AwaitTree.
func BenchmarkAwaitedEnd(b *testing.B) {
	for _, kind := range []Containment{Cgroup, Marker, Group} {
		b.Run(string(kind), func(b *testing.B) {
			h, err := Open(Options{Containment: kind})
			if err != nil {
				b.Skip(err)
			}
			defer h.Close()
			var took time.Duration
			for range b.N {
				spec := sh("exec 3<&0; cat <&3 & echo ready")
				spec.Stdin = true
				p, err := h.Start(spec)
				if err != nil {
					b.Fatal(err)
				}
				_ = p.WaitExit()
				over := await(p, context.Background())
				time.Sleep(20 * time.Millisecond)
				begin := time.Now()
				_ = p.Stdin().Close()
				<-over
				took += time.Since(begin)
				p.Sweep(context.Background(), 0)
				_, _ = p.Reap()
				p.Close()
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/end")
			b.ReportMetric(0, "ns/op")
		})
	}
}
