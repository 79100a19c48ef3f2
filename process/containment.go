package process

import "syscall"

// Containment names what holds the processes of a tree together.
type Containment string

// The containments, the strongest first. Auto is the strongest that the machine has.
const (
	Auto Containment = "auto"
	// Cgroup is a control group of version 2 for each tree (cgroups(7)), and the mark of Marker where marks work. A
	// descendant leaves the tree by writing itself into another group, which takes the rights of the server, and
	// changing its mark.
	Cgroup Containment = "cgroup"
	// Marker is a resource limit without effect that every descendant inherits, and whose value says of which
	// tree it is. A descendant leaves the tree by changing that limit of its own.
	Marker Containment = "marker"
	// Group is the leader's process group, and on a terminal its kernel session. A descendant leaves it by setsid(2).
	Group Containment = "group"
)

// containment is what holds the processes of one tree together, so that they can be signalled, counted
// and ended as one. All methods may be called from any goroutine; none waits for a process, but for pause, which
// waits for at most stopWait.
type containment interface {
	// Kind is what the execute reply calls it.
	Kind() Containment
	// Signal sends sig to every member. os.ErrProcessDone says that there is none, or none it may name.
	Signal(sig syscall.Signal) error
	// Deliver is signal, and lists the members that may not be signalled, where others were. If nobody was, the error
	// is a *NotPermittedError.
	Deliver(sig syscall.Signal) (missed []int, err error)
	// SignalLeader sends sig to the leader alone; os.ErrProcessDone says that it has exited.
	SignalLeader(sig syscall.Signal) error
	// Pause stops every member; resume lets those go on that Pause stopped. Where a member may not be signalled, Pause
	// stops nobody, and the error is a *NotPermittedError.
	Pause() error
	Resume() error
	// Terminate asks every member to end by sig, also those that are stopped.
	Terminate(sig syscall.Signal) error
	// Continue lets every member go on that is stopped, whoever stopped it.
	Continue()
	// Alive says whether a member lives. It costs less than to list them. An error says that it can't be known.
	Alive() (bool, error)
	// Members lists the members that are not dead. An error says that some may be missing from the list.
	Members() ([]int, error)
	// Watch returns something that tells when a member ends of whom the end may be that of the tree; nil where nothing does.
	Watch() *watched
	// ReapLeaderFirst says whether the leader is to be reaped before the tree is swept, which costs less where signal 0 tells then
	// that nobody is left.
	ReapLeaderFirst() bool
	// Close comes before what holds the tree is given back: what is called later touches nothing.
	Close()
}
