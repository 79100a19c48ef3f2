package process

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/spawn"
)

// treeLimits are what is enforced on one tree beside its containment.
type treeLimits struct {
	limits Limits
	held   []Held
	leaf   *leaf            // whose controllers hold what is held by ByCgroup
	v1     map[Limit]string // groups of version 1, made for this tree

	untraced bool // the kernel lets nobody trace

	attributes Attributes // those to be set
}

// controllerOf is the controller for a limit of the whole tree, in both versions.
var controllerOf = map[Limit]string{MemoryBytes: "memory", Processes: "pids"}

// enforces says by what a limit is held here, "" for nothing.
func (h *Host) enforces(name Limit) Mechanism {
	controller, ofTree := controllerOf[name]
	switch {
	case !ofTree:
		return ByRlimit
	case h.subtree != nil && h.subtree.counts(controller):
		return ByCgroup
	case h.v1[controller] != "":
		return ByCgroupV1
	}
	return ""
}

// limit makes what the limits of a tree need, as far as it is not there.
func (h *Host) limit(l Limits, leaf *leaf) (t *treeLimits, err error) {
	t = &treeLimits{limits: l, leaf: leaf, v1: make(map[Limit]string), untraced: h.sys.untraced}
	if t.held, err = h.Enforce(l); err != nil {
		return nil, err
	}
	for _, held := range t.held {
		if held.By != ByCgroupV1 {
			continue
		}
		dir := filepath.Join(h.v1[controllerOf[held.Limit]], strconv.FormatUint(h.groups.Add(1), 10))
		if err = os.Mkdir(dir, 0o755); err != nil {
			t.close()
			return nil, err
		}
		t.v1[held.Limit] = dir
	}
	return t, nil
}

// setup returns what is applied at the start gate, nil for a nil t.
func (t *treeLimits) setup() *spawn.Setup {
	if t == nil {
		return nil
	}
	s := &spawn.Setup{
		Enter: t.enterCgroups,
		Hard:  make(map[int]unix.Rlimit),
		Soft:  make(map[int]uint64),
		Umask: t.attributes.Umask,
		Nice:  t.attributes.Nice,
	}
	for _, held := range t.held {
		if held.By == ByRlimit {
			s.Hard[resourceOf[held.Limit]] = rlimitOf(held)
		}
	}
	for name, value := range t.attributes.Soft {
		s.Soft[numberOf[name]] = value
	}
	return s
}

// enterCgroups sets the limits of the cgroups of the tree, and adds a process to those of version 1.
func (t *treeLimits) enterCgroups(pid int) error {
	for _, held := range t.held {
		var err error
		switch held.By {
		case ByCgroup:
			err = t.boundLeaf(held)
		case ByCgroupV1:
			err = joinV1(t.v1[held.Limit], held, pid)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *treeLimits) boundLeaf(held Held) error {
	value := strconv.FormatInt(held.Value, 10)
	if held.Limit == Processes {
		return t.leaf.write("pids.max", value)
	}
	if err := t.leaf.write("memory.swap.max", "0"); err != nil && !errors.Is(err, os.ErrNotExist) { // no swap, no file
		return err
	}
	return t.leaf.write("memory.max", value)
}

func joinV1(dir string, held Held, pid int) error {
	value := strconv.FormatInt(held.Value, 10)
	file := filepath.Join(dir, "pids.max")
	if held.Limit == MemoryBytes {
		file = filepath.Join(dir, "memory.limit_in_bytes")
	}
	err := fdreserve.WriteFile(file, value)
	if err == nil && held.Limit == MemoryBytes {
		if err = fdreserve.WriteFile(filepath.Join(dir, "memory.memsw.limit_in_bytes"), value); errors.Is(err, os.ErrNotExist) {
			err = nil // swap is not counted here
		}
	}
	if err == nil {
		err = fdreserve.WriteFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
	}
	return err
}

// rlimitOf returns the limits of setrlimit(2) for a limit of each process.
func rlimitOf(held Held) unix.Rlimit {
	limit := unix.Rlimit{Cur: uint64(held.Value), Max: uint64(held.Value)}
	if held.Limit == CPUSeconds {
		limit.Max += cpuGrace
		limit.Max = min(limit.Max, uint64(max(held.Value, mostOf(CPUSeconds))))
	}
	return limit
}

// account reads what the groups counted: the peak of the tree's memory, and whether the leader was killed for it.
func (t *treeLimits) account(e *Exit) {
	var kills uint64
	switch dir := t.v1[MemoryBytes]; {
	case dir != "":
		kills = counted(dir, "memory.oom_control", "oom_kill")
		if peak := number(dir, "memory.max_usage_in_bytes"); peak > 0 {
			e.MaxRSS = peak
		}
	case t.leaf != nil:
		kills = counted(t.leaf.path(), "memory.events", "oom_kill")
	}
	if _, bounded := t.limits[MemoryBytes]; bounded && kills > 0 && e.Signal == syscall.SIGKILL {
		e.Limit = MemoryBytes
	} else {
		e.Limit = t.limits.exceeded(e)
	}
}

// number reads a file of a single number, 0 where there is none.
func number(dir, file string) int64 {
	text, _ := fdreserve.ReadFile(filepath.Join(dir, file))
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	v, _ := strconv.ParseInt(string(text[:n]), 10, 64)
	return v
}

func counted(dir, file, name string) uint64 {
	text, _ := fdreserve.ReadFile(filepath.Join(dir, file))
	return field(text, name)
}

// close removes the groups of version 1. One in which somebody lives whom nobody could end stays until the host is
// closed.
func (t *treeLimits) close() {
	end := time.Now().Add(lastLook)
	for _, dir := range t.v1 {
		for os.Remove(dir) != nil && time.Now().Before(end) { // the last to die may not be counted out yet
			time.Sleep(time.Millisecond)
		}
	}
}
