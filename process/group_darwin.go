package process

// system is this machine's kernel.
func system() kernel {
	return kernel{kill: kill, members: groupMembers}
}
