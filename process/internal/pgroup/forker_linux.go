package pgroup

import (
	"runtime"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// New returns a provider whose leaders are killed when this process ends. The table sets no marks.
func New(kernel leader.Kernel, table *mark.Table, tracker Tracker) *Provider {
	f := forker{table: table, work: make(chan func()), done: make(chan struct{})}
	go f.run()
	return &Provider{kernel: kernel, forker: f, tracker: tracker}
}

// NewPlain returns a provider whose leaders outlive this process.
func NewPlain(kernel leader.Kernel) *Provider {
	return &Provider{kernel: kernel, forker: forker{table: &mark.Table{}}, tracker: untracked{}}
}

// forker forks all leaders on one thread. The kernel sends the parent-death signal of a child when
// the thread ends that has forked it (PR_SET_PDEATHSIG), and threads of the runtime end at any
// time. Without work it forks on the caller's thread.
type forker struct {
	table *mark.Table
	work  chan func()
	done  chan struct{}
}

func (f *forker) run() {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	defer close(f.done)
	for do := range f.work {
		do()
	}
}

func (f *forker) prepare(attr *syscall.ProcAttr) {
	if f.work != nil {
		attr.Sys.Pdeathsig = syscall.SIGKILL
	}
}

func (f *forker) fork(fork func() (pid int, err error)) (pid int, err error) {
	if f.work == nil {
		return fork()
	}
	f.do(func() { pid, err = f.table.ForkUnmarked(fork) })
	return pid, err
}

func (f *forker) forkHelper(fork func() (pid int, err error)) (int, error) {
	return f.table.ForkUnmarked(fork)
}

func (f *forker) observer() leader.Observer { return f.table }

func (f *forker) replace(pid int) (replaced func(leader, helper int)) { return f.table.Replace(0, pid) }

// do runs fn on the thread and returns after it. It is not called after close.
func (f *forker) do(fn func()) {
	done := make(chan struct{})
	f.work <- func() {
		defer close(done)
		fn()
	}
	<-done
}

func (f *forker) observe(l *leader.Leader) { l.Observer = f.observer() }

func (f *forker) reaped(pid int) { f.table.Reaped(pid) }

func (f *forker) tagOf(a *proctable.Ancestry) (tag any, m containment.Membership, err error) {
	return f.table.TagOf(a)
}

func (f *forker) close() {
	f.table.Close()
	if f.work != nil {
		close(f.work)
		<-f.done
	}
}
