package keeper

import (
	"encoding/json"
	"os"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/leftover"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

// endWait is how long a keeper tries to end what its server has left. The next server ends the
// rest.
const endWait = 10 * time.Second

// Config is what a keeper needs to know of its server, except the process groups.
type Config struct {
	identity.Record
	Number uint64 `json:"number"`
	File   string `json:"file"` // the state file, "" for none
	cgroup.Delegation
}

// RunIfStarted runs the keeper and does not return if this process was started as one. Then the
// server has exited, since package serverwatch waits for that. A server that closes its host kills
// its keeper instead.
func RunIfStarted() {
	state := serverwatch.Received
	if state == nil {
		return
	}
	var c Config
	err := json.Unmarshal(state.Config, &c)
	if err != nil || c.Number == 0 || c.Number >= mark.MaxInstance {
		syscall.Exit(1)
	}
	if !c.end(state.Groups, time.Now().Add(endWait)) {
		syscall.Exit(1)
	}
	syscall.Exit(0)
}

// end kills all that the server has left, and removes its cgroups and its state file. It returns
// false if that was not possible until the deadline. A new server may do the same: the lock of the
// state file decides which of them does.
func (c *Config) end(groups []serverwatch.Group, deadline time.Time) bool {
	s := leftover.Server{Number: c.Number, Cgroups: c.Cgroups, Groups: groups}
	s.KillOnce(c.Moved) // without the lock, since its holder would kill them too
	for ; time.Now().Before(deadline); time.Sleep(memberwise.MinInterval) {
		unlock, ok := identity.LockShared(c.File)
		if !ok {
			continue
		}
		c.Delegation.Undo(identity.Name(c.Number)) // so that this process is not in a cgroup that it kills
		_, left := s.End()
		if left == 0 && c.File != "" {
			_ = os.Remove(c.File)
		}
		unlock()
		if left == 0 {
			return true
		}
	}
	return false
}
