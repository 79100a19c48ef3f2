// Package fdreserve opens files for the duration of one call, even if this process has no free file
// descriptor. It has code for Linux only.
//
// RLIMIT_NOFILE bounds the descriptor numbers in each descriptor table, and clients can fill the
// table of this process. Ending a tree opens files of /proc and of cgroups, and pidfds. So the
// reserve is a thread with a descriptor table of its own (unshare(2), CLONE_FILES), which is nearly
// empty. A call that fails with EMFILE or ENFILE runs again on that thread, which exists already:
// nothing has to be allocated then, not even a thread.
//
// All functions may be called from any goroutine.
package fdreserve
