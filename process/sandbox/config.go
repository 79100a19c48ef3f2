package sandbox

// Access is what a command may do with a file, or with all files below a directory.
type Access string

// The accesses, the least first.
const (
	None  Access = "none"  // it is not visible, or cannot be opened
	Read  Access = "read"  // it can be read and executed
	Write Access = "write" // it can be changed, too; below a directory files can be made and removed
)

// Missing is what is done about a path that does not exist at the start.
type Missing string

// The values of Missing.
const (
	Skip   Missing = "skip"   // the rule has no effect
	Create Missing = "create" // an empty directory is made there, and remains
	Refuse Missing = "error"  // the start is refused
)

// Rule is the access to a path and to everything below it. Of several rules the one with the longest
// path applies.
type Rule struct {
	// Path is absolute and clean (filepath.Clean), and has at most MaxPath bytes. Symbolic links in
	// it are followed: see [Config.Resolved].
	Path    string
	Access  Access
	Missing Missing
}

// Mode is how much of the network a command has.
type Mode string

// The modes, the least first.
const (
	NoNetwork   Mode = "none"  // nothing, and a loopback interface of its own where namespaces are available
	AllowList   Mode = "allow" // the listed destinations, through a proxy, and a loopback interface of its own
	FullNetwork Mode = "full"  // the network of the server
)

// Network is which destinations a command may connect to.
type Network struct {
	Mode  Mode
	Allow []Destination // with AllowList only, at most MaxDestinations
}

// Scope is whether something is shared with the server or the command's own.
type Scope string

// The scopes, the least first.
const (
	Own Scope = "own" // of processes: others are invisible, and cannot be reached
	// Private is of /tmp and /var/tmp: they are empty at the start, and removed with the session. A rule
	// for one of them then has no effect. Rules for paths below them apply.
	Private Scope = "private"
	Shared  Scope = "shared"
)

// Devices is which device files a command has.
type Devices string

// MinimalDevices are null, zero, full, random, urandom, tty and terminals of its own. It is the only
// value.
const MinimalDevices Devices = "minimal"

// UnixSockets is whether a command may make Unix sockets with which it could connect to those of
// other processes. Pairs of connected sockets (socketpair(2)) are always possible.
type UnixSockets string

// The values of UnixSockets, the least first.
const (
	NoUnixSockets   UnixSockets = "none"
	FullUnixSockets UnixSockets = "full"
)

// Metadata is of which files a command may change the mode, the owner, the times, the extended
// attributes and the inode flags, as far as its user may.
type Metadata string

// The values of Metadata, the least first.
const (
	WritableMetadata Metadata = "files" // of those that Files makes writable
	FullMetadata     Metadata = "full"  // of all, hidden ones included, unless something else prevents it
)

// Config is what one command may reach. What it does not mention is always refused: gaining
// privileges, changing mounts and namespaces, keyrings, and other interfaces of the kernel that no
// ordinary program needs (docs/sandbox.md lists them).
type Config struct {
	Files        []Rule // in any order, at most MaxRules; no path is there twice
	FilesDefault Access // None or Read: of paths below no rule
	Network      Network
	Processes    Scope // Own or Shared
	Tmp          Scope // Private or Shared; Shared means that Files decides about /tmp
	Devices      Devices
	UnixSockets  UnixSockets
	Metadata     Metadata

	// Hidden are absolute and clean paths to which, and below which, the access is None, whatever Files
	// says: files of the server, and what its operator denies to everybody.
	Hidden []string
	// Floor, if not nil, is what Files must be within when symbolic links are resolved: see
	// [Config.Resolved]. Its own Floor is ignored.
	Floor *Config
	// Profile is the name of the profile of which it was made, "" if it was made of the floor, and
	// Required are the names of the profiles that are the floor. They are for reports, and enforce nothing.
	Profile  string
	Required []string

	request *Request // that it was made of, for errors; nil if it was not made by Complete
	home    string   // that of the Place; "" if it is unknown
}
