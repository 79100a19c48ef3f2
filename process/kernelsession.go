package process

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// jobs is the roster of a tree on a terminal that nothing stronger holds: the kernel session that the leader made
// (setsid(2)), which is its own group and those that a shell with job control makes of its jobs. A descendant leaves it
// by a setsid of its own. The session is named by a number, which is the leader's.
type sessionLister struct{ sid int }

// newSessionTree is containment by the leader's session.
func newSessionTree(g *group) containment {
	return &memberTree{group: g, lister: sessionLister{g.leader.pid}, numbered: true, terminal: true}
}

func (l sessionLister) each(f func(member)) error {
	all, err := proctable.SessionMembers(l.sid)
	for _, m := range all {
		f(m)
	}
	return err
}

func (l sessionLister) holds(pid int) (bool, error) {
	sid, err := unix.Getsid(pid)
	return sid == l.sid, err
}

func (l sessionLister) send(m member, sig syscall.Signal) error {
	return proctable.Signal(m, sig, func(now member) (bool, error) { return now.Session == l.sid, nil })
}
