package files

import "time"

// The bounds that have no field in Options. docs/operating.md lists all of them.
const (
	// MaxPathBytes is the longest path in bytes: PATH_MAX of Linux without the NUL.
	MaxPathBytes = 4095
	// MaxURIBytes is the longest URI in bytes. Each byte of a path may have three.
	MaxURIBytes = 3*MaxPathBytes + 64
	// maxLinks is how many symbolic links a path may lead through, as in path_resolution(7).
	maxLinks = 40
	// maxLookups is how many names are looked up for one path, those in the targets of symbolic links
	// included. A path without links has at most 2048.
	maxLookups = 4096
	// maxRuleLookups is how many names are looked up for all roots, hidden and read-only paths and rules of
	// a sandbox together, in one operation.
	maxRuleLookups = 20_000
	// maxAttempts is how often an operation resolves its path again because an entry was exchanged
	// meanwhile.
	maxAttempts = 16

	// MaxRoots is the largest number of Access.Roots, Access.Hidden and Access.ReadOnly, each.
	MaxRoots = 1024
	// MaxHandleIDBytes is the longest id of a handle in bytes, as in Codex's server.
	MaxHandleIDBytes = 32
	// MaxBlockBytes is the largest block that a handle reads or writes, as in Codex's server.
	MaxBlockBytes = 1 << 20

	// MaxDirectoryEntries is how many entries of a directory are listed.
	MaxDirectoryEntries = 50_000
	// MaxListedBytes is how long the names of a listing, or the paths of a walk, may be together, in bytes.
	// Each path of an error of a walk counts twice, since the text of the error has it too.
	MaxListedBytes = 4 << 20
	// MaxWalkDepth, MaxWalkDirectories and MaxWalkEntries are the largest values of WalkOptions, as in
	// Codex's server.
	MaxWalkDepth       = 64
	MaxWalkDirectories = 10_000
	MaxWalkEntries     = 50_000
	// maxTreeEntries is how many entries one Copy or Remove may copy or remove.
	maxTreeEntries = 1_000_000

	// batchEntries is how many names of a directory are read at a time.
	batchEntries = 1024
	// copyBytes is how much is read, written or copied between two checks of the context.
	copyBytes = 1 << 20
)

// The defaults of Options.
const (
	// DefaultMaxOperations is how many operations of all principals run at a time.
	DefaultMaxOperations = 64
	// DefaultMaxOperationsOfPrincipal is how many operations of one principal run at a time.
	DefaultMaxOperationsOfPrincipal = 16
	// DefaultMaxHandles is how many handles all owners have together.
	DefaultMaxHandles = 1024
	// DefaultMaxHandlesOfOwner is how many handles one owner has, as in Codex's server.
	DefaultMaxHandlesOfOwner = 128
	// DefaultMaxReadBytes is the largest file that ReadFile reads.
	DefaultMaxReadBytes = 64 << 20
	// DefaultMaxReadMemory is what all running ReadFile read into memory together.
	DefaultMaxReadMemory = 256 << 20
	// DefaultTimeout is how long an operation on one file takes at most.
	DefaultTimeout = 30 * time.Second
	// DefaultTreeTimeout is how long Walk, Copy and Remove take at most.
	DefaultTreeTimeout = 2 * time.Minute
)
