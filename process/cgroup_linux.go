package process

import (
	"os"
	"syscall"
)

func newCgroup(g *group, l *leaf, terminal bool) *cgroup {
	return &cgroup{scattered: scattered{group: g, roster: inLeaf{l}, terminal: terminal}, leaf: l}
}

// cgroup is containment by a control group of version 2.
type cgroup struct {
	scattered
	leaf *leaf
}

func (c *cgroup) name() Containment { return Cgroup }

// populated says whether somebody lives; nobody does in what was given back.
func (c *cgroup) populated() (some bool, err error) {
	err = c.held(func(int, bool) (err error) {
		some, err = c.leaf.populated()
		return err
	})
	if err == os.ErrProcessDone {
		return false, nil
	}
	return some, err
}

// living goes by what the kernel counts, and looks at processes only where there are some. Who forks and ends all the
// time may be missed by every look.
func (c *cgroup) living() ([]int, error) {
	for range maxRounds {
		if some, err := c.populated(); err != nil || !some {
			return nil, err
		}
		if pids, err := c.scattered.living(); len(pids) > 0 || err != nil {
			return pids, err
		}
	}
	return nil, ErrElusive
}

func (c *cgroup) signal(sig syscall.Signal) error {
	switch some, err := c.populated(); {
	case err != nil:
		return err
	case !some:
		return os.ErrProcessDone
	case sig == 0:
		return nil
	case sig == syscall.SIGKILL:
		return c.held(func(int, bool) error { return c.leaf.kill() })
	}
	return c.scattered.signal(sig)
}

func (c *cgroup) pause() error {
	return c.held(func(int, bool) error { return c.leaf.freeze(stopWait) })
}

func (c *cgroup) resume() error {
	return c.held(func(int, bool) error { return c.leaf.thaw() })
}

func (c *cgroup) terminate() error { return c.ask(c) }

func (c *cgroup) wake() {
	_ = c.resume()
	c.scattered.wake()
}

// inLeaf is the roster of a leaf.
type inLeaf struct{ leaf *leaf }

func (r inLeaf) each(f func(member)) error { return eachMemberIn(r.leaf.path(), f) }

func (r inLeaf) send(m member, sig syscall.Signal) error {
	return signalMember(m, sig, func(*stat) bool { return r.leaf.holds(m.pid) })
}
