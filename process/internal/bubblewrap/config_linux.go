package bubblewrap

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/leader"
	"github.com/runnel-rpc/runnel/process/internal/poller"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

// Config is one sandbox. All paths are absolute and clean and contain no symbolic links, except
// those of Links and ReadOnly. Nothing of it is kept after Start has returned.
type Config struct {
	// Program is bwrap. It is not closed before Start has returned.
	Program *Program
	// UserNS makes a user namespace. Without it this process needs CAP_SYS_ADMIN and more, see
	// Probe. A process that is not root cannot leave it out.
	UserNS bool
	// Superuser makes /proc read-only, for a command with the user id 0, which may be that of the machine.
	Superuser bool
	// Sandbox says what is shared. Its Files are not used: Binds are what they became. With shared
	// Processes, UserNS or Ruleset is needed: /proc/PID/root of another process of the user leads out
	// of the mount namespace.
	Sandbox *sandbox.Config
	Binds   []Bind
	// Links are made if FilesDefault is None, for rules whose paths contain symbolic links.
	Links []Link
	// Hidden are the server's own files and directories and the operator's deny list. They and all
	// below them cannot be opened; a Bind there with an access fails the start. Those that do not
	// exist are left out.
	//
	// The kernel removes the cover of a file that is replaced by rename(2), removed and made again
	// from outside of the sandbox, as the server does with some of its own. A replica of its
	// directory keeps it hidden, but not every directory can be replaced: see withReplicas. So
	// directories should be hidden and not files. This holds for Binds of files, too.
	Hidden []string
	// ReadOnly are other files that a command cannot change, whatever Binds say. What does not exist
	// is left out. Their paths may contain symbolic links, which themselves can be replaced where a
	// command may write.
	ReadOnly []string
	// TmpBytes bounds each temporary directory of the sandbox's own (/tmp, /var/tmp, /dev/shm). 0 is
	// half of the memory of the machine, the default of tmpfs(5).
	TmpBytes int64
	// Dir and Programs are opened inside. They have to be the same files there.
	Dir      File
	Programs []File
	// Ruleset makes the Landlock ruleset, if it is not nil. It opens paths inside (O_PATH), follows
	// symbolic links inside, and closes the descriptors that open returns.
	Ruleset func(open func(path string) (fd int, err error)) (fd int, err error)
	// Terminal opens the terminal of the command, if it is not nil, given the file ptmx of the /dev/pts
	// inside (O_PATH), which is closed afterwards. Start returns its error unchanged.
	Terminal func(ptmx int) error
	// Filter is for the holder, which needs it less than a command: it takes no input. It has to
	// permit what a holder does.
	Filter []unix.SockFilter

	// Anchors, if it is not nil, waits until that many directories in writable ones may be opened. What it
	// returns is called when they are closed.
	Anchors func(ctx context.Context, n int) (release func(), err error)
	// Observer is notified when bwrap was reaped; Poller waits for its exit. Both may be nil.
	Observer leader.Observer
	Poller   *poller.Poller
}

// File is a file by its path and its identity (stat(2)).
type File struct {
	Path     string
	Dev, Ino uint64
}

// Bind is the access to a file, or to a directory and everything below it. Of several the longest
// path applies.
type Bind struct {
	Path   string
	FD     int // O_PATH, of what was opened at Path; -1 if Access is None
	Access sandbox.Access
	Dir    bool // a directory
}

// Link is a symbolic link.
type Link struct{ Path, Target string }
