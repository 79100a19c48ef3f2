package main

import "syscall"

// changeTime returns when an inode was changed (inode(7)).
func changeTime(st *syscall.Stat_t) syscall.Timespec { return st.Ctim }
