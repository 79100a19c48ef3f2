package process

import "golang.org/x/sys/unix"

const stateZombie = 5 // SZOMB of sys/proc.h

// groupMembers asks sysctl(3) for the living processes of a group.
func groupMembers(pgid int) ([]int, error) {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.pgrp", pgid)
	if err != nil {
		return nil, err
	}
	var pids []int
	for i := range procs {
		if procs[i].Proc.P_stat != stateZombie {
			pids = append(pids, int(procs[i].Proc.P_pid))
		}
	}
	return pids, nil
}
