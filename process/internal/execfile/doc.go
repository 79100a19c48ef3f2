// Package execfile finds the files that an exec opens, and pins them: it keeps them open until the
// exec is done.
//
// An exec can block for a lease (fcntl(2), F_SETLEASE) or for a file server. It blocks in the
// child, but until it is done the thread of the parent is blocked too (vfork(2)), under the lock of
// all forks, and the garbage collector waits for that thread. So the files are opened before the
// fork, in a way that can be interrupted: no process can take a write lease on a file that another
// process has open. A program whose files cannot be pinned, because they cannot be read or are on a
// remote file system, is executed by the exec step (package spawn).
package execfile
