package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/peer"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

// PeerError means that the process at the other end of a connection may belong to a tree, but it
// cannot be known whether, or to which one. The caller grants it nothing.
type PeerError struct {
	PID int // 0 if it is unknown
	Why error
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("cannot find out to which command the process %d belongs: %v", e.PID, e.Why)
}

// Unwrap returns Why.
func (e *PeerError) Unwrap() error { return e.Why }

// TagOfPeer returns the Spec.Tag of the tree to which the process at the other end of a Unix socket
// belongs: the one that called connect(2). found is false if it belongs to no tree of this Host.
// The error is a *PeerError, also if the process has exited.
//
// A process belongs to a tree from before the first instruction of the leader until the tree is
// closed. It is found:
//
//   - under Cgroup by its cgroup, and otherwise as under Marker;
//   - under Marker by the leader from which it descends and, after the leader's exit, by its mark
//     or that of an ancestor. As any process may set its mark, it is an error then if it has another
//     user than the command. With Options.OnlyParent, a process without a mark whose ancestor was
//     reparented to this process is an error, too;
//   - under Group by the process group or the kernel session of itself or of an ancestor. A process
//     that has called setsid(2) and whose parents have exited is not found.
//
// A process in a PID namespace that is not below that of this process cannot be part of a tree. A
// process that makes another one, which belongs to no tree, connect in its place is not found. The
// time is about 40 µs for each ancestor.
func (h *Host) TagOfPeer(c syscall.Conn) (tag any, found bool, err error) {
	p, err := peer.Of(c)
	if err != nil {
		return nil, false, &PeerError{p.PID, err}
	}
	defer p.Close()
	if p.PID <= 0 || p.PID == os.Getpid() {
		return nil, false, nil
	}
	t, err := h.orPlain().tagOf(&p)
	if err != nil {
		return nil, false, &PeerError{p.PID, err}
	}
	return t.tag, t.found, nil
}

// treeTag is what a containment knows of a tree, for TagOfPeer.
type treeTag struct {
	found bool
	tag   any
	user  *User // of the command; nil for that of this process
}

func (s *Spec) treeTag() treeTag { return treeTag{true, s.Tag, s.User} }

// runsAs reports whether the command runs as a user.
func (t *treeTag) runsAs(uid int) bool {
	if t.user != nil {
		return int(t.user.UID) == uid
	}
	return os.Geteuid() == uid
}

var errClaimed = errors.New("a process of another user has the mark of a command")

// tagOf checks at the end that the process has not exited: if so, all that was read before is about
// this process, and not about a later one with the same process id.
func (h *Host) tagOf(p *peer.Peer) (t treeTag, err error) {
	a, err := proctable.AncestryOf(p.PID)
	if errors.Is(err, syscall.ESRCH) {
		return t, peer.ErrExited
	}
	if err != nil {
		return t, err
	}
	tag, membership, err := h.provider.TagOf(&a)
	if err != nil {
		return t, err
	}
	if p.Exited() || proctable.StartTime(p.PID) != a.Process().Start {
		return t, peer.ErrExited
	}
	if membership != containment.NoMember {
		t = tag.(treeTag)
	}
	if membership == containment.Claimed && !t.runsAs(p.UID) {
		return treeTag{}, errClaimed
	}
	return t, nil
}
