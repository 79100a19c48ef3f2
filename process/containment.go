package process

import (
	"github.com/runnel-rpc/runnel/process/internal/leader"
)

// Containment names what keeps the processes of a tree together.
type Containment string

// The containments, the strongest first. Auto is the strongest that this machine has.
const (
	Auto Containment = "auto"
	// Cgroup is a cgroup of version 2 for each tree (cgroups(7)), and the mark of Marker if marks
	// can be set. A process leaves the tree by moving to another cgroup, which requires the rights
	// of the server, and changing its mark.
	Cgroup Containment = "cgroup"
	// Marker is a resource limit without effect that every descendant inherits, and whose value
	// identifies the tree. A process leaves the tree by changing its limit.
	Marker Containment = "marker"
	// Group is the process group of the leader, and on a terminal its kernel session. A process
	// leaves it by setsid(2).
	Group Containment = "group"
)

// NotPermittedError means that processes of a tree could not be signaled, since they have another
// user by now (kill(2), EPERM), and that therefore no process was signaled.
type NotPermittedError = leader.NotPermittedError

// ErrRunning is returned by Reap before the leader has exited.
var ErrRunning = leader.ErrRunning
