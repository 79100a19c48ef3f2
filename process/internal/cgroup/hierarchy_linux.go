package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
)

// Hierarchies are the directories of this process' own cgroups, as far as they are mounted here.
type Hierarchies struct {
	V2    string            // "" if there is none
	Shown string            // V2 as /proc/PID/cgroup has it
	V1    map[string]string // by controller
}

var errNoV2 = errors.New("no cgroup2 file system is mounted that shows this process' own cgroup")

// OwnHierarchies reads /proc/self/cgroup and /proc/self/mountinfo.
func OwnHierarchies() (Hierarchies, error) {
	cgroups, err := procfs.OwnCgroups()
	if err != nil {
		return Hierarchies{}, err
	}
	mounts, err := procfs.OwnMounts()
	if err != nil {
		return Hierarchies{}, err
	}
	return hierarchiesOf(cgroups, mounts), nil
}

func hierarchiesOf(cgroups procfs.Cgroups, mounts []procfs.Mount) Hierarchies {
	h := Hierarchies{Shown: cgroups.V2, V1: make(map[string]string)}
	for _, m := range mounts {
		switch m.Type {
		case "cgroup2":
			if dir := m.PathOf(cgroups.V2); dir != "" && h.V2 == "" {
				h.V2 = dir
			}
		case "cgroup":
			for _, controller := range m.Options {
				if dir := m.PathOf(cgroups.V1[controller]); dir != "" && h.V1[controller] == "" {
					h.V1[controller] = dir
				}
			}
		}
	}
	return h
}

// Dirs lists the cgroups that a server may make under one name: in version 2, and in version 1 for
// each of the controllers.
func (h *Hierarchies) Dirs(name string, controllers []string) (dirs []string) {
	if h.V2 != "" {
		dirs = append(dirs, filepath.Join(h.V2, name))
	}
	for _, controller := range controllers {
		if dir := h.V1[controller]; dir != "" {
			dirs = append(dirs, filepath.Join(dir, name))
		}
	}
	return dirs
}

// controllersIn lists the controllers that a cgroup of version 2 can enable for its children.
func controllersIn(dir string) []string {
	text, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	return strings.Fields(string(text))
}

// enable enables controllers for the children of a cgroup, and returns those that were not enabled
// before.
func enable(dir string, controllers []string) (enabled []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return nil, err
	}
	have := strings.Fields(string(text))
	for _, name := range controllers {
		if slices.Contains(have, name) {
			continue
		}
		if err := fdreserve.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), "+"+name); err != nil {
			return enabled, err
		}
		enabled = append(enabled, name)
	}
	return enabled, nil
}

// processesAllowed returns the lowest pids.max of a cgroup of version 2 and its ancestors.
func processesAllowed(dir string) (most int64, limited bool) {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
			return most, limited
		}
		text, _ := os.ReadFile(filepath.Join(dir, "pids.max")) // the root has none
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (!limited || n < most) {
			most, limited = n, true
		}
	}
}

// valueOf returns the number after name in lines of "name number", or 0 if there is none.
func valueOf(text []byte, name string) uint64 {
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(" "))
		if string(key) == name {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
			return n
		}
	}
	return 0
}

// readValue is valueOf for a file of a cgroup.
func readValue(dir, file, name string) uint64 {
	text, _ := fdreserve.ReadFile(filepath.Join(dir, file))
	return valueOf(text, name)
}

// readNumber returns the number at the beginning of a file of a cgroup, or 0 if there is none.
func readNumber(dir, file string) int64 {
	text, _ := fdreserve.ReadFile(filepath.Join(dir, file))
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	v, _ := strconv.ParseInt(string(text[:n]), 10, 64)
	return v
}

// readNumbers reads a file with a number in each line.
func readNumbers(path string) (all []int, err error) {
	text, err := fdreserve.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, n)
	}
	return all, nil
}
