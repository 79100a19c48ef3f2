package sandbox

import (
	"fmt"
	"syscall"
)

// Mechanism is what enforces a part of a sandbox. Several are joined by "+".
type Mechanism string

// The mechanisms.
const (
	Bubblewrap         Mechanism = "bubblewrap" // a mount namespace that bubblewrap has made
	Landlock           Mechanism = "landlock"   // landlock(7)
	BubblewrapLandlock Mechanism = "bubblewrap+landlock"
	Namespace          Mechanism = "namespace" // a network or PID namespace that bubblewrap has made
	Seccomp            Mechanism = "seccomp"   // seccomp(2)
	NotEnforced        Mechanism = ""          // nothing, because everything is permitted
)

// MinLandlockABI is the oldest ABI of Landlock that can enforce files alone, that of Linux 6.2. Before it
// truncate(2) empties every file that its owner may write, and so does open(2) with O_TRUNC for reading,
// so a file that may only be read is not protected.
const MinLandlockABI = 3

// Part is a part of a sandbox that is enforced by itself.
type Part string

// The parts. Their names are those of the fields of an execute.
const (
	FilesPart     Part = "files"
	NetworkPart   Part = "network" // modes none and full
	AllowPart     Part = "allow"   // mode allow
	ProcessesPart Part = "processes"
	TmpPart       Part = "tmp"
	MetadataPart  Part = "metadata"
)

// Parts is the list of all parts.
var Parts = []Part{FilesPart, NetworkPart, AllowPart, ProcessesPart, TmpPart, MetadataPart}

// Support is what a machine can enforce. It does not change while a host is open.
type Support struct {
	// By has the mechanism of each part that can be enforced.
	By map[Part]Mechanism
	// Why says why a part cannot be enforced, or not in every sandbox, for operators.
	Why map[Part]string
	// Detail says why there are no namespaces, "" if there are some. It is for operators alone: it may
	// name paths of the server, which Why does not.
	Detail string
}

// Report is what was enforced for one command, and by what.
type Report struct {
	Config    Config
	Files     Mechanism
	Network   Mechanism
	Processes Mechanism
	Tmp       Mechanism
	Metadata  Mechanism // also where Config permits FullMetadata, if it is refused nevertheless
}

// Enforced is what is in force for a part of a sandbox, and by what.
type Enforced struct {
	Mode string    // the value of the field
	By   Mechanism // NotEnforced if there is nothing to enforce
}

func (e Enforced) String() string {
	if e.By == NotEnforced {
		return e.Mode
	}
	return e.Mode + " by " + string(e.By)
}

// EnforcedUnixSockets returns what is in force for Unix sockets. Every mechanism has the filter.
func (r *Report) EnforcedUnixSockets() Enforced {
	e := Enforced{Mode: string(r.Config.UnixSockets)}
	if r.Config.UnixSockets == NoUnixSockets {
		e.By = Seccomp
	}
	return e
}

// EnforcedMetadata returns what is in force for metadata: WritableMetadata also where Config permits
// FullMetadata, if it is refused nevertheless.
func (r *Report) EnforcedMetadata() Enforced {
	e := Enforced{Mode: string(r.Config.Metadata), By: r.Metadata}
	if r.Metadata != NotEnforced {
		e.Mode = string(WritableMetadata)
	}
	return e
}

// NotEnforceableError means that this machine cannot enforce a field of a Config.
type NotEnforceableError struct {
	// Field is the name of the field in an execute, below sandbox: "files", "files[2]", "network",
	// "processes", "tmp", "unix_sockets", "metadata". After Config.Locate it is a field of the request.
	Field string
	// Why says what is missing. It names no path of the server.
	Why string
}

func (e *NotEnforceableError) Error() string {
	return fmt.Sprintf("%s cannot be enforced on this machine: %s", inSandbox(e.Field), e.Why)
}

// PathError means that the path of a rule cannot be used: it does not exist, and Missing is Refuse,
// or it cannot be opened.
type PathError struct {
	Path string // as in the Config
	Err  error  // an errno, or a *Reason
	// Field is the name of the field of the request that has the path, as in NotEnforceableError;
	// "profile" if that is a path of its profile, "" if the request has none. Config.Locate sets it.
	Field string
}

// Reason is an errno of a PathError in other words, for a client: they name no path.
type Reason struct {
	Errno syscall.Errno
	Text  string
}

func (r *Reason) Error() string { return r.Text }

// Unwrap returns Errno.
func (r *Reason) Unwrap() error { return r.Errno }

func (e *PathError) Error() string { return fmt.Sprintf("sandbox: %s: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *PathError) Unwrap() error { return e.Err }
