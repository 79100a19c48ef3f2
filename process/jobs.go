package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// jobs is the roster of a tree on a terminal that nothing stronger holds: the kernel session that the leader made
// (setsid(2)), which is its own group and those that a shell with job control makes of its jobs. A descendant leaves it
// by a setsid of its own. The session is named by a number, which is the leader's.
type jobs struct{ sid int }

// onItsTerminal is containment by the leader's session.
func onItsTerminal(g *group) containment {
	return &scattered{group: g, roster: jobs{g.leader.pid}, numbered: true, terminal: true}
}

func (j jobs) each(f func(member)) error {
	all, err := sessionMembers(j.sid)
	for _, m := range all {
		f(m)
	}
	return err
}

func (j jobs) holds(pid int) (bool, error) {
	sid, err := unix.Getsid(pid)
	return sid == j.sid, err
}

func (j jobs) send(m member, sig syscall.Signal) error { return signalOne(m, j.sid, sig) }
