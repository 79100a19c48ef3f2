// Package leftover ends the leftover processes of a server that has exited: those with its marks,
// in its cgroups and in its process groups. It removes those cgroups.
package leftover

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process/internal/cgroup"
	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/memberwise"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
	"github.com/runnel-rpc/runnel/process/internal/serverwatch"
)

// removeWait is how long the removal of a cgroup without processes may take.
const removeWait = 100 * time.Millisecond

// Server is a server that has exited.
type Server struct {
	Number  uint64
	Cgroups []string            // that it may have made; only those with its name are touched
	Groups  []serverwatch.Group // process groups and kernel sessions that it may have left
}

// Recovery is what Recover has found: crashed servers, processes of theirs that it ended, and those
// that it could not end.
type Recovery struct{ Servers, Processes, Left int }

// Recover ends what crashed servers have left whose state files are in a directory, and removes the
// files. There is no grace period.
func Recover(stateDir string) (r Recovery, err error) {
	files, err := identity.List(stateDir)
	if err != nil {
		return r, err
	}
	for _, number := range slices.Sorted(maps.Keys(files)) {
		if err := recoverOne(files[number], number, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func recoverOne(path string, number uint64, r *Recovery) error {
	crashed, ok, err := identity.OpenCrashed(path, number)
	if !ok {
		return err
	}
	left := 0
	if crashed.Record.ThisBoot() {
		r.Servers++
		s := Server{Number: number, Cgroups: crashed.Record.Cgroups}
		killed := 0
		killed, left = s.End()
		r.Processes += killed
		r.Left += left
	}
	crashed.Close(left == 0)
	return nil
}

// End kills all processes of the server and removes its cgroups. left counts processes and cgroups
// that remain.
func (s *Server) End() (killed, left int) {
	killable, others := s.cgroups()
	for _, dir := range killable {
		n, err := cgroup.Empty(dir, memberwise.KillWait)
		killed += n
		if err != nil {
			left++
		}
	}
	n, rest := memberwise.KillAll(s.processes(others), memberwise.KillWait)
	for _, dir := range others {
		if _, err := cgroup.Empty(dir, removeWait); err != nil && rest == 0 {
			left++
		}
	}
	return killed + n, left + rest
}

// KillOnce sends SIGKILL once to all processes that are found. If inServerLeaf is true, this
// process is in the server's leaf, and that leaf is not killed.
func (s *Server) KillOnce(inServerLeaf bool) {
	killable, others := s.cgroups()
	for _, dir := range killable {
		if !inServerLeaf {
			_ = cgroup.Kill(dir)
			continue
		}
		leaves, _ := os.ReadDir(dir)
		for _, leaf := range leaves {
			if leaf.IsDir() && leaf.Name() != cgroup.ServerLeaf {
				_ = cgroup.Kill(filepath.Join(dir, leaf.Name()))
			}
		}
	}
	all := s.processes(others)
	_ = all.Each(func(m proctable.Entry) { _ = all.Signal(m, syscall.SIGKILL) })
}

// cgroups divides the cgroups of the server into those that the kernel can kill as a whole, and
// others.
func (s *Server) cgroups() (killable, others []string) {
	for _, dir := range s.Cgroups {
		switch {
		case filepath.Base(dir) != identity.Name(s.Number):
		case cgroup.Killable(dir):
			killable = append(killable, dir)
		default:
			others = append(others, dir)
		}
	}
	return killable, others
}

// processes lists the processes of the server outside of killable cgroups.
func (s *Server) processes(cgroups []string) (all memberwise.Union) {
	for _, dir := range cgroups {
		all = append(all, cgroup.Dir(dir))
	}
	return append(all, groups(s.Groups), mark.OfInstance(s.Number))
}

// groups lists the processes of process groups and kernel sessions.
type groups []serverwatch.Group

// Each leaves out groups whose number belongs to another leader by now. Another process can have
// the number only once the group is empty.
func (g groups) Each(f func(proctable.Entry)) error {
	var valid groups
	for _, group := range g {
		if start := proctable.StartTime(group.PID); start == 0 || start == group.Started {
			valid = append(valid, group)
		}
	}
	if len(valid) == 0 {
		return nil
	}
	return proctable.EachAlive(func(e proctable.Entry) {
		if valid.contains(e) {
			f(e)
		}
	})
}

func (g groups) Contains(pid int) (bool, error) { return g.contains(proctable.Lookup(pid)), nil }

func (g groups) contains(e proctable.Entry) bool {
	for _, group := range g {
		if group.Session && e.Session == group.PID || !group.Session && e.Group == group.PID {
			return true
		}
	}
	return false
}

func (g groups) Signal(e proctable.Entry, sig syscall.Signal) error {
	return proctable.Signal(e, sig, func(now proctable.Entry) (bool, error) { return g.contains(now), nil })
}
