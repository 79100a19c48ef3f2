package seccomp

// call is a system call with its numbers, -1 where an architecture does not have it.
type call struct {
	name         string
	amd64, arm64 int
	decision     decision
}

// decision is what the filter does with a system call.
type decision int

const (
	allow  decision = iota
	refuse          // EPERM
	absent          // ENOSYS

	// The decision depends on an argument.
	cloneFlags     // EPERM if it makes a namespace
	unshareFlags   // EPERM unless it only separates what the threads of a process share
	ioctlCommand   // EPERM for input into terminals, and for subvolumes; see also Options.ReadOnly
	fcntlCommand   // EPERM for leases
	socketFamily   // see Options.Network and Options.UnixSockets
	socketpairType // see Options.UnixSockets
	openMode       // EPERM if it makes a set-user-ID or set-group-ID file; see also Options.RefuseBareOpen
	newMode        // EPERM if it makes such a file
	changedMode    // the same; EROFS with Options.ReadOnly

	// The decision depends on the options alone.
	memory   // reaches into other processes: EPERM unless Options.OwnProcesses or Options.Landlock
	metadata // EROFS with Options.ReadOnly, else allow
)

// lastCall is the highest number in the table. The same calls have the same numbers from 424 on, on
// all architectures.
const lastCall = 471
