// Package files serves files to a remote caller: it reads, writes, lists, copies and removes them
// within what an [Access] permits. It knows nothing of protocols; package rpc/codex maps it to the
// methods fs/* of Codex.
//
// # What is permitted
//
// An Access is made of the directories that a policy permits, of the sandbox of a request, and of paths
// that are hidden from everybody. The least access of all applies to the path without symbolic links of
// the file that is opened. It does not matter how the request leads there: a symbolic link may lead out
// of one permitted directory into another one, and is refused if it leads elsewhere.
//
//   - A path is followed one component at a time, by openat(2) with O_PATH and O_NOFOLLOW from an open
//     directory. Each directory is checked before anything is looked up in it, so a caller does not learn
//     what exists elsewhere ([Error.Invisible]). Only directories that lead to a permitted path are
//     visible besides: they can be described, not listed.
//   - Symbolic links are followed by their text, so the kernel follows no magic link. Those of a proc
//     file system are refused, among them /proc/self.
//   - An entry that is exchanged for a symbolic link meanwhile is not followed. What is opened is always
//     in the directory that was checked. A directory that is moved elsewhere while an operation has it
//     open stays permitted to this operation.
//   - Trees are copied and removed by openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS.
//   - To make or remove an entry, its directory must be writable, too. A rule for a path protects the
//     directories above it from removal, as a mount does in a sandbox.
//   - In a sandbox /proc, /dev and /sys are refused, and /tmp and /var/tmp if the sandbox has its own,
//     since a command would find other files there. A rule for a path that does not exist applies all
//     the same.
//   - A rule of a policy or of a sandbox is for a path, not for a file: a hard link, or a mount of the same
//     directory elsewhere, has the access of its own path. Hidden and read-only files are recognized by their
//     identity, too. Mounts are not taken into account when a rule of a sandbox leads
//     through a symbolic link that a command may have made (Aliases of sandbox.Found).
//
// Without a restriction a caller may do what the user of the server may, except with the threads of the
// server itself in /proc: their memory, environment and descriptors are refused. This is no protection
// from a caller who may also execute commands as that user, who can read the memory of the server by
// ptrace(2) and its token file by name. Restrict what such a caller executes, or run its commands as
// another user, which [Access.As] then applies to files, too.
//
// # Blocking
//
// Opening a FIFO, a device or a socket is refused before it is opened. A system call that hangs, as on a
// network file system, keeps a place of the [Pool]; the caller gets ErrTimeout. An operation that was
// given up may still have its effect.
//
// # Handles
//
// A handle keeps the rights with which it was opened, even if Access changes. An [Owner] closes its own.
//
// # Other systems
//
// The package is for Linux. On others an operation with a restriction is ErrUnsupported.
//
// Differences from Codex's own server are listed in docs/codex.md.
package files
