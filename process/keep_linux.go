package process

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

// keeperPatience is how long a keeper tries to end what its server left. What is left then is for the next server.
const keeperPatience = 10 * time.Second

// charge is what a keeper needs to know of its server, apart from the server's current groups.
type keeperConfig struct {
	serverIdentity
	Number uint64 `json:"number"`
	File   string `json:"file"` // the state file, "" for none
	// What the server did to its own control group to make room for controllers.
	Own         string   `json:"own,omitempty"`
	Controllers []string `json:"controllers,omitempty"`
	Enabled     []string `json:"enabled,omitempty"`
	Moved       bool     `json:"moved,omitempty"`
}

// keeperAttr gives a keeper a session of its own, so that signals to the server's group or terminal miss it. One thread
// that runs Go code is enough for it and saves memory.
func keeperAttr(null, read int) *syscall.ProcAttr {
	return &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Files: []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(read)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
}

// keep is the main function of a keeper whose server is dead: it ends all that the server left, and exits. A server that closes
// its Host kills the keeper by SIGKILL instead.
func keep(state *serverwatch.State) {
	var c keeperConfig
	err := json.Unmarshal(state.Config, &c)
	if err != nil || c.Number == 0 || c.Number >= maxInstance {
		syscall.Exit(1)
	}
	var groups []trackedGroup
	for _, g := range state.Groups {
		groups = append(groups, trackedGroup{g.PID, g.Started, g.Session})
	}
	if !c.finish(groups, time.Now().Add(keeperPatience)) {
		syscall.Exit(1)
	}
	syscall.Exit(0)
}

// finish ends all that the server left, and removes its control groups and its state file. It is false where that could
// not be done until end. A next server may be doing the same: the state file's lock decides who does it.
func (c *keeperConfig) finish(groups []trackedGroup, end time.Time) bool {
	c.strike(groups)
	for ; time.Now().Before(end); time.Sleep(firstLook) {
		unlock, ok := c.lock()
		if !ok {
			continue
		}
		c.leave()
		_, left := endTrees(&c.serverIdentity, c.Number, groups)
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

// strike kills at once all processes that are found. It needs no lock, since the holder of the lock would kill them too.
func (c *keeperConfig) strike(groups []trackedGroup) {
	all, killable := leftoversOf(&c.serverIdentity, c.Number, groups)
	for _, dir := range killable {
		if !c.Moved {
			_ = fdreserve.WriteFile(filepath.Join(dir, "cgroup.kill"), "1")
			continue
		}
		leaves, _ := os.ReadDir(dir)
		for _, leaf := range leaves {
			if leaf.IsDir() && leaf.Name() != serverLeaf { // this process is in that one itself
				_ = fdreserve.WriteFile(filepath.Join(dir, leaf.Name(), "cgroup.kill"), "1")
			}
		}
	}
	_ = all.each(func(m member) { _ = all.send(m, syscall.SIGKILL) })
}

// leave takes this process out of the server's control groups, if the server has moved into them, so that it does not
// kill itself there, and undoes what was done for controllers.
func (c *keeperConfig) leave() {
	if c.Own == "" {
		return
	}
	t := &subtree{own: c.Own, dir: filepath.Join(c.Own, nameOf(c.Number)), controllers: c.Controllers, enabled: c.Enabled, moved: c.Moved}
	t.undelegate()
}

// lock takes a shared lock on the state file: so another server can tell a keeper that is at work from a server that lives. If
// there is no such file, another process has done the work or there never was a file: then no lock is needed, since doing
// the work again does no harm.
func (c *keeperConfig) lock() (unlock func(), ok bool) {
	f, err := openState(c.File)
	if err != nil {
		return func() {}, true
	}
	if flock(f, unix.LOCK_SH) != nil {
		_ = f.Close()
		return nil, false
	}
	return func() { _ = f.Close() }, true
}

// has says whether a process is in the group.
func (g trackedGroup) has(m member) bool {
	if g.session {
		return m.Session == g.pid
	}
	return m.Group == g.pid
}

// ours says whether the number still names that group: another process can only have it once the group is empty.
func (g trackedGroup) ours() bool {
	st, err := procfs.ReadStat(g.pid)
	return err == nil && (st.Start == 0 || st.Start == g.started)
}

// inOneOf says whether a process is in one of some groups.
func inOneOf(groups []trackedGroup, m member) bool {
	return slices.ContainsFunc(groups, func(g trackedGroup) bool { return g.has(m) })
}
