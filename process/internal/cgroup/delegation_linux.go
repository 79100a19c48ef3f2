package cgroup

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
)

// Delegation is what a server has changed in its own cgroup to enable controllers for its trees.
// The zero value is nothing.
type Delegation struct {
	Own         string   `json:"own,omitempty"`         // the cgroup of the server
	Controllers []string `json:"controllers,omitempty"` // enabled in the server's subtree
	Enabled     []string `json:"enabled,omitempty"`     // enabled in Own for that
	Moved       bool     `json:"moved,omitempty"`       // whether the server has moved into a leaf of its own
}

// Undo undoes the changes, except what others need by now, and moves this process back. name is
// that of the subtree.
func (d *Delegation) Undo(name string) {
	if d.Own != "" {
		d.undo(filepath.Join(d.Own, name))
	}
}

func (d *Delegation) undo(dir string) {
	for _, c := range d.Controllers {
		_ = fdreserve.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), "-"+c)
	}
	for _, c := range d.Enabled {
		_ = fdreserve.WriteFile(filepath.Join(d.Own, "cgroup.subtree_control"), "-"+c)
	}
	if d.Moved {
		_ = fdreserve.WriteFile(filepath.Join(d.Own, "cgroup.procs"), strconv.Itoa(os.Getpid()))
	}
	d.Controllers, d.Enabled, d.Moved = nil, nil, false
}
