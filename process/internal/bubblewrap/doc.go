// Package bubblewrap makes the namespaces of one sandbox with bwrap(1), and keeps them until the
// sandbox ends.
//
//	server ── bwrap ── holder (package holder)
//
// bwrap is a child of the server, outside of the trees of all sessions. It makes the namespaces,
// mounts what [Config] says, and executes the holder, which sends the server a pidfd of itself and
// its root directory. The command is not a child of bwrap, which would hide its exit status and its
// usage: it enters the namespaces by that pidfd (setns(2)).
//
// The server opens everything inside the sandbox itself, below that root directory. So it does so
// with its own rights, and nothing inside can influence it. Before Start returns it compares what
// it finds there with what was to be mounted: a path that was replaced by a symbolic link meanwhile,
// by a process that may write to its directory, fails the start.
//
// bwrap itself is not started with --die-with-parent: that is the end of the thread which has
// forked it, and the Go runtime ends threads. If the server dies, its end of the socket is closed,
// and the holder exits. If bwrap is killed, the holder is killed too.
package bubblewrap
