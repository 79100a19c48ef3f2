package process

import "syscall"

// containment is what holds the processes of one tree together, so that they can be signalled, counted
// and ended as one. group serves pipes and jobs a terminal. Others differ in who can get away from them, and
// belong here with their way of preparing the fork. All methods may be called from any goroutine; none
// waits for a process, but for pause, which waits for at most stopWait.
type containment interface {
	// name is what the execute reply calls it.
	name() string
	// signal sends sig to every member. os.ErrProcessDone says that there is none, or none it may name.
	signal(sig syscall.Signal) error
	// pause stops every member; resume lets those go on that pause stopped.
	pause() error
	resume() error
	// terminate asks every member to end, also those that are stopped.
	terminate() error
	// living lists the members that are not dead. An error says that they can't be listed.
	living() ([]int, error)
	// outlivesReap says whether the tree can be named safely after its leader was reaped.
	outlivesReap() bool
}
