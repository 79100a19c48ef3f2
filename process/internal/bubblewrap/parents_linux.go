package bubblewrap

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

const (
	// maxMounts bounds the mounts of a sandbox. bwrap accepts 9000 arguments (MAX_ARGS), and a mount has
	// at most 6 of them.
	maxMounts = 1000
	// maxAnchors bounds the anchors of a sandbox. Each has a descriptor until the sandbox is made. bwrap
	// needs 0.4 s for 128 that are in each other, and 10 s for 400.
	maxAnchors = 128
)

// anchored adds anchors for the directories between a writable one and what is mounted below it. If
// a command could rename them, it could make other files at the path of a rule, and the next
// sandbox would not hide what is at another path then. The price is that files cannot be renamed or
// linked across them.
func anchored(list []mount) ([]mount, error) {
	return withParents(list, min(maxAnchors, maxMounts-len(list)), func(m, above *mount) bool {
		protects := m.readOnly() || m.kind == replica || m.kind == coverDir || m.kind == coverFile
		return protects && above != nil && above.kind == bindWrite
	}, anchor)
}

// reachable adds the directories between an empty one and what is mounted below it. bwrap would make
// them too, but so that only their owner can search them.
func reachable(list []mount) ([]mount, error) {
	return withParents(list, maxMounts-len(list), func(_, above *mount) bool { return above == nil || above.empty() }, directory)
}

// withParents adds at most a number of mounts of a kind between some mounts and those above them. list
// is sorted by the length of the paths.
func withParents(list []mount, most int, which func(m, above *mount) bool, kind kind) ([]mount, error) {
	all := slices.Clone(list)
	taken := make(map[string]bool, len(list))
	for i := range list {
		taken[list[i].path] = true
	}
	for i := range list {
		m := &list[i]
		above := lastAbove(list[:i], m.path)
		if m.path == "/" || !which(m, above) {
			continue
		}
		top := "/"
		if above != nil {
			top = above.path
		}
		// Where a directory is taken, those between it and top are taken too.
		for dir := filepath.Dir(m.path); dir != top && !taken[dir]; dir = filepath.Dir(dir) {
			if len(all)-len(list) >= most {
				return nil, errTooMany()
			}
			taken[dir] = true
			all = append(all, mount{path: dir, kind: kind, fd: -1})
		}
	}
	sortByLength(all)
	return all, nil
}

func errTooMany() error {
	return &sandbox.NotEnforceableError{
		Field: string(sandbox.FilesPart),
		Why: fmt.Sprintf("it needs more than %d mounts for paths and the directories above them, or more than %d for directories in writable ones",
			maxMounts, maxAnchors),
	}
}

// lastAbove returns the mount that a path is in, nil for the empty root directory. list has at most
// maxMounts mounts, sorted by the length of the paths.
func lastAbove(list []mount, path string) *mount {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].path != path && sandbox.Below(path, list[i].path) {
			return &list[i]
		}
	}
	return nil
}
