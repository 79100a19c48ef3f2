// Package seccomp has the filter of system calls of a sandboxed command (seccomp(2)). Other systems
// than Linux have no filter.
//
// The filter refuses what no ordinary program needs and what leads out of a sandbox: mounts,
// namespaces, keyrings, modules and programs of the kernel, the clock, the input of terminals. It
// does not decide about files, which is the part of mounts and of package landlock, except for what
// these cannot refuse (see Options).
//
// Every system call that Linux had when it was written is in one table (table_linux.go) with a
// decision. Later ones do not exist for the command, as on an older kernel.
package seccomp
