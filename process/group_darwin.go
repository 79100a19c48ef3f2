package process

import "github.com/runnel-rpc/runnel/process/internal/proctable"

// system is this machine's kernel.
func system() kernel {
	return kernel{kill: kill, members: proctable.GroupMembers}
}
