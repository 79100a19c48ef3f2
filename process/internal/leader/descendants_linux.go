package leader

import (
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// EachDescendant calls f for the descendants of the leader, at most max times and parents before
// children. isMember reports whether the process id still names that descendant. The result is
// false if the leader has exited, since its descendants cannot be found any more.
func (g *Group) EachDescendant(max int, f func(pid int, isMember func() bool)) (found bool) {
	if g.ExitObserved() {
		return false
	}
	var parents []int // whose children are not listed yet
	_ = g.Do(func(_ int, reaped bool) error {
		if !reaped {
			parents = eachChild(g.PID, f)
		}
		return nil
	})
	for n := 0; len(parents) > 0 && n < max; n++ {
		parents = append(parents[1:], eachChild(parents[0], f)...)
	}
	return true
}

func eachChild(parent int, f func(pid int, isMember func() bool)) []int {
	pids, _ := procfs.ThreadChildren(parent, parent)
	for _, pid := range pids {
		f(pid, func() bool {
			st, err := procfs.ReadStat(pid)
			return err == nil && st.Parent == parent
		})
	}
	return pids
}
