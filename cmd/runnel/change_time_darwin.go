package main

import "syscall"

// changeTime returns when an inode was changed (stat(2)).
func changeTime(st *syscall.Stat_t) syscall.Timespec { return st.Ctimespec }
