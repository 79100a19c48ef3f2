package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
)

// V1 makes cgroups of version 1, which limit trees where version 2 does not. The zero value can
// limit nothing.
type V1 struct {
	dirs map[string]string // by controller
	made atomic.Uint64
}

// Add makes a cgroup for a controller, under the server's name, if that is possible.
func (v *V1) Add(h *Hierarchies, name, controller string) {
	dir := filepath.Join(h.V1[controller], name)
	if h.V1[controller] == "" || os.Mkdir(dir, 0o755) != nil {
		return
	}
	if v.dirs == nil {
		v.dirs = make(map[string]string)
	}
	v.dirs[controller] = dir
}

// Controls reports whether trees can be limited by a controller.
func (v *V1) Controls(controller string) bool { return v.dirs[controller] != "" }

// Leftovers lists the processes that trees may have left.
func (v *V1) Leftovers() (all memberwise.Union) {
	for _, dir := range v.dirs {
		all = append(all, Dir(dir))
	}
	return all
}

// Close removes the cgroups. It fails if one has living processes.
func (v *V1) Close() error {
	var errs []error
	for _, dir := range v.dirs {
		errs = append(errs, Remove(dir))
	}
	return errors.Join(errs...)
}

// V1Group is a cgroup of version 1 that limits one tree.
type V1Group struct {
	dir        string
	controller string
	max        int64
}

// Make makes a group for one tree. max is a number of bytes for "memory", of processes for "pids".
func (v *V1) Make(controller string, max int64) (V1Group, error) {
	dir := filepath.Join(v.dirs[controller], strconv.FormatUint(v.made.Add(1), 10))
	return V1Group{dir, controller, max}, os.Mkdir(dir, 0o755)
}

// Join sets the limit and moves a process into the group.
func (g V1Group) Join(pid int) error {
	value := strconv.FormatInt(g.max, 10)
	file := filepath.Join(g.dir, "pids.max")
	if g.controller == "memory" {
		file = filepath.Join(g.dir, "memory.limit_in_bytes")
	}
	err := fdreserve.WriteFile(file, value)
	if err == nil && g.controller == "memory" {
		err = fdreserve.WriteFile(filepath.Join(g.dir, "memory.memsw.limit_in_bytes"), value)
		if errors.Is(err, os.ErrNotExist) { // swap is not counted
			err = nil
		}
	}
	if err == nil {
		err = fdreserve.WriteFile(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid))
	}
	return err
}

// OOMKills returns how many processes the kernel has killed at the memory limit.
func (g V1Group) OOMKills() uint64 {
	if g.controller != "memory" {
		return 0
	}
	return readValue(g.dir, "memory.oom_control", "oom_kill")
}

// PeakMemory returns the peak memory in bytes, or 0 if it is not counted.
func (g V1Group) PeakMemory() int64 {
	if g.controller != "memory" {
		return 0
	}
	return readNumber(g.dir, "memory.max_usage_in_bytes")
}

// Remove removes the group. It waits a moment, since the last process to exit may still be counted.
// A group with living processes remains until V1.Close.
func (g V1Group) Remove() {
	deadline := time.Now().Add(memberwise.MaxInterval)
	for os.Remove(g.dir) != nil && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
}

var _ containment.Lister = Dir("")
